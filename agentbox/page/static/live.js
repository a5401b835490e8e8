// Shows what the box does while it does it. The server makes all the words; this only says which of them to show.
"use strict";

const shown = document.getElementById("state");
const turns = document.getElementById("turns");
const DOES = {
  "speech started": "hearing",
  "speech too_short": "",
  "transcript not_activated": "",
  "transcript suppressed": "",
  "transcript own_voice": "",
  "activation opened": "thinking",
  "speaking started": "speaking",
  "speaking ended": "",
  "speaking stopped": "",
};
const EARS = {
  "capture listening": "listening",
  "capture lost": "not_listening",
  "capture muted": "muted",
  "capture unmuted": "listening",
};
const USES = { "egress started": 1, "egress ended": -1 };
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30000;
let pause_ms = FIRST_PAUSE_MS;
let muted = !document.getElementById("muted").hidden;
let ears = shown.dataset.state === "not_listening" ? "not_listening" : "listening";
let doing = ""; // what it does with a turn; nothing: what the ears do is shown
let cloud_uses = shown.dataset.state === "cloud" ? 1 : 0; // that are open: as long as one is, nothing else is shown
let counted = 0; // beginnings and ends of such uses that were told since this page was opened

function show() {
  const resting = muted ? "muted" : ears; // what the box said is over, and it may still not listen
  const state = doing === "away" ? doing : cloud_uses > 0 ? "cloud" : doing || resting;
  if (shown.dataset.state !== state) {
    shown.dataset.state = state;
    shown.textContent = shown.getAttribute("data-" + state.replace("_", "-"));
  }
}

// What the box says to a question, or nothing: where it is away the socket has it too, and tells.
async function ask(place, read) {
  try {
    // What goes into this page is in its language, whatever another window has chosen since.
    const headers = { "Agentbox-Language": document.documentElement.lang };
    const answer = await fetch(place, { credentials: "same-origin", headers });
    return answer.ok ? await read(answer) : null;
  } catch {
    return null;
  }
}

async function look() {
  let answer;
  let before;
  do {
    before = counted;
    answer = await ask("/state", (found) => found.json());
  } while (answer && before !== counted); // whether it knew of what was told meanwhile cannot be seen
  if (answer) {
    ears = answer.ears;
    cloud_uses = answer.cloud_uses;
    doing = "";
    mute(answer.muted);
    show();
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
    const told = event.stage + " " + event.state;
    if (told in USES) {
      counted += 1;
      cloud_uses = Math.max(0, cloud_uses + USES[told]);
    } else if (told in EARS) {
      if (EARS[told] !== "muted") {
        ears = EARS[told];
      }
      if (event.state === "muted" || event.state === "unmuted") {
        mute(event.state === "muted");
      }
      doing = "";
    } else if (told in DOES) {
      doing = DOES[told];
    } else if (event.stage === "reply") {
      refresh();
      if (doing === "thinking") {
        doing = "";
      }
    }
    show();
  };
  socket.onclose = (event) => {
    if (event.code === 4401) {
      location.assign("/pair");
      return;
    }
    doing = "away";
    show();
    setTimeout(follow, pause_ms * (0.5 + Math.random()));
    pause_ms = Math.min(2 * pause_ms, LONGEST_PAUSE_MS);
  };
}

follow();
