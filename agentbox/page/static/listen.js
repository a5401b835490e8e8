// The talk key, and what became of what was said. The server makes all the words; what was heard goes in as text alone.
"use strict";

const key = document.getElementById("listen");
const state = document.getElementById("heard-state");
const heard = document.getElementById("heard");
const PARTS = { transcript: "heard-text", intent: "heard-intent", tool_call: "heard-tool", reply: "heard-reply" };

function tell(name) {
  state.textContent = state.getAttribute("data-" + name.replaceAll("_", "-"));
}

function put(stage, text) {
  document.getElementById(PARTS[stage]).textContent = text;
  heard.hidden = false;
}

function show(event) {
  const message = event.message || {};
  if (event.stage === "speech" && event.state === "started") {
    tell("heard");
  } else if (event.stage === "transcript" && !event.message) {
    tell("not_for_it");
  } else if (event.stage === "second" && event.state === "taken") {
    put("transcript", message.text);
  } else if (event.stage === "transcript" || event.stage === "reply") {
    put(event.stage, message.text);
  } else if (event.stage === "intent" && message.name) {
    const slots = Object.entries(message.slots).map(([name, value]) => name + ": " + value);
    put("intent", [message.name, ...slots].join(" · ") + " (" + Math.round(100 * message.score) + " %)");
  } else if (event.stage === "tool_call") {
    put("tool_call", message.tool);
  }
}

function listen() {
  const socket = new WebSocket("wss://" + location.host + "/sentences/listen");
  let said = false;
  key.disabled = true;
  heard.hidden = true;
  for (const id of Object.values(PARTS)) {
    document.getElementById(id).textContent = "";
  }
  socket.onopen = () => tell("ready");
  socket.onmessage = (message) => {
    said = true;
    show(JSON.parse(message.data));
  };
  socket.onclose = (event) => {
    key.disabled = false;
    if (event.code === 4401) {
      location.assign("/pair");
    } else if (event.code !== 1000) {
      tell("away");
    } else if (!said) {
      tell("nothing_said");
    } else if (!heard.hidden) {
      state.textContent = "";
    }
  };
}

if (key) {
  key.hidden = false;
  key.addEventListener("click", listen);
}
