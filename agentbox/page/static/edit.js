// Says in which line of the text one is, and goes to the line that a finding names.
"use strict";

const text = document.getElementById("text");
const place = document.getElementById("place");

function start(line) {
  const before = text.value.split("\n").slice(0, line - 1);
  return before.join("\n").length + (line > 1 ? 1 : 0);
}

function where() {
  place.hidden = false;
  place.textContent = place.dataset.line + " " + text.value.slice(0, text.selectionStart).split("\n").length;
}

function go(line) {
  const from = start(line);
  const end = text.value.indexOf("\n", from);
  text.focus();
  text.setSelectionRange(from, end < 0 ? text.value.length : end);
  text.scrollTop = (line - 5) * parseFloat(getComputedStyle(text).lineHeight);
  where();
}

for (const cell of document.querySelectorAll("td.line")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = cell.textContent;
  button.addEventListener("click", () => go(Number(cell.dataset.line)));
  cell.replaceChildren(button);
}
for (const name of ["keyup", "click", "input"]) {
  text.addEventListener(name, where);
}
