// Shows what the box does while it does it. The server makes all the words; this only says which of them to show.
"use strict";

const shown = document.getElementById("state");
const turns = document.getElementById("turns");
const STATES = {
  "capture listening": "listening",
  "capture lost": "not_listening",
  "capture muted": "muted",
  "capture unmuted": "listening",
  "speech started": "hearing",
  "speech too_short": "listening",
  "transcript not_activated": "listening",
  "transcript suppressed": "listening",
  "transcript own_voice": "listening",
  "activation opened": "thinking",
  "egress started": "cloud",
  "speaking started": "speaking",
  "speaking ended": "listening",
  "speaking stopped": "listening",
};
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30000;
let pause_ms = FIRST_PAUSE_MS;
let before_cloud = "listening";
let muted = shown.dataset.state === "muted";

function show(state) {
  if (muted && state === "listening") {
    state = "muted"; // what the box said is over, and it still does not listen
  }
  shown.dataset.state = state;
  shown.textContent = shown.getAttribute("data-" + state.replace("_", "-"));
}

// What the box says to a question, or nothing: where it is away the socket has it too, and tells.
async function ask(place, read) {
  try {
    const answer = await fetch(place, { credentials: "same-origin" });
    return answer.ok ? await read(answer) : null;
  } catch {
    return null;
  }
}

async function look() {
  const answer = await ask("/state", (found) => found.json());
  if (answer) {
    const { state } = answer;
    mute(state === "muted");
    show(state);
  }
}

// What every page says of it, and which of the two buttons there is.
function mute(now) {
  muted = now;
  document.getElementById("muted").hidden = !now;
  for (const [name, hidden] of [["mute", now], ["unmute", !now]]) {
    const form = document.getElementById(name);
    if (form) {
      form.hidden = hidden;
    }
  }
}

async function refresh() {
  const answer = await ask("/turns", (found) => found.text());
  if (answer !== null) {
    turns.innerHTML = answer; // made by the box, with every word of a turn escaped
  }
}

function follow() {
  const socket = new WebSocket("wss://" + location.host + "/live");
  socket.onopen = () => {
    pause_ms = FIRST_PAUSE_MS;
    look();
    refresh();
  };
  socket.onmessage = (message) => {
    const event = JSON.parse(message.data);
    const state = STATES[event.stage + " " + event.state];
    if (state === "muted" || event.state === "unmuted") {
      mute(state === "muted");
    }
    if (state === "cloud" && shown.dataset.state !== "cloud") {
      before_cloud = shown.dataset.state;
    }
    if (event.stage === "egress" && event.state === "ended") {
      show(before_cloud);
    } else if (state) {
      show(state);
    }
    if (event.stage === "reply") {
      refresh();
      if (shown.dataset.state === "thinking") {
        show("listening");
      }
    }
  };
  socket.onclose = (event) => {
    if (event.code === 4401) {
      location.assign("/pair");
      return;
    }
    show("away");
    setTimeout(follow, pause_ms * (0.5 + Math.random()));
    pause_ms = Math.min(2 * pause_ms, LONGEST_PAUSE_MS);
  };
}

follow();
