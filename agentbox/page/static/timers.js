// Counts down what runs. Without it the page shows how it was when it was loaded.
"use strict";

const shown = Array.from(document.querySelectorAll("[data-left-s]"));
const began_ms = performance.now();

function two(number) {
  return String(number).padStart(2, "0");
}

function count() {
  const passed_s = (performance.now() - began_ms) / 1000;
  for (const one of shown) {
    const left_s = Math.ceil(Number(one.dataset.leftS) - passed_s);
    if (left_s > 0) {
      const hours = Math.floor(left_s / 3600);
      one.textContent = hours + ":" + two(Math.floor(left_s / 60) % 60) + ":" + two(left_s % 60);
    } else {
      one.textContent = one.dataset.rings;
    }
  }
}

if (shown.length) {
  setInterval(count, 1000);
}
