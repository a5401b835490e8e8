// What the microphone hears, as it hears it: a level that moves, and whether the wake phrase was heard.
"use strict";

const LOOK_MS = 400;
const meter = document.getElementById("level");
const wake = document.getElementById("wake");
const wakes = document.getElementById("wakes");
const counted = new Set();

async function look() {
  try {
    const answer = await fetch("/settings/level", { credentials: "same-origin" });
    const found = answer.ok ? await answer.json() : { level_dbfs: null };
    meter.value = found.level_dbfs === null ? meter.min : found.level_dbfs;
  } catch {
    meter.value = meter.min;
  }
  setTimeout(look, LOOK_MS);
}

function tell(what) {
  wake.textContent = wake.dataset[what];
}

function count(utterance) {
  if (counted.has(utterance) || counted.size >= wakes.children.length) {
    return;
  }
  const line = wakes.children[counted.size];
  counted.add(utterance);
  line.textContent = "✓ " + line.dataset.heard;
  tell(counted.size === wakes.children.length ? "done" : "heard");
}

function follow() {
  const socket = new WebSocket("wss://" + location.host + "/live");
  socket.onmessage = (message) => {
    const event = JSON.parse(message.data);
    const what = event.stage + " " + event.state;
    if (what === "activation noticed") {
      count(event.utterance_id);
    } else if (what === "activation opened" && event.message && event.message.by === "wake_phrase") {
      count(event.utterance_id);
    } else if (what === "reply attention") {
      // The phrase alone once more, while it still waited for what comes after the last one.
      count(event.utterance_id);
    } else if (counted.size < wakes.children.length) {
      if (what === "speech started") {
        tell("speech");
      } else if (what === "transcript not_activated") {
        tell("other");
      }
    }
  };
  socket.onclose = () => {
    tell("away");
    setTimeout(follow, 3000);
  };
}

if (meter) {
  look();
}
if (wake) {
  follow();
}
