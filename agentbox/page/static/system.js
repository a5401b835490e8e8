// Tells where the clocks of the box and of this device disagree.
"use strict";

const MOST_MS = 60000;
const shown = document.getElementById("clock");

// The box said its time when it made the page, a moment ago.
if (Math.abs(Date.now() - Number(shown.dataset.at) * 1000) > MOST_MS) {
  document.getElementById("differs").hidden = false;
}
