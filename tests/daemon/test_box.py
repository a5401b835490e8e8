"""The whole daemon, with the real model, a real database and a real socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from agentbox.audio.files import read_file
from agentbox.control.client import Client
from tests.daemon.conftest import SAMPLE, Home, Running
from tests.pulse import running as pulse_running

STOP_AT = 24
"""Second of the sample, shortly before "Stop."."""

ALWAYS = {"activation": {"mode": "always"}}


def joined(path: Path, *pieces: Path, gap_s: float = 1.2) -> Path:
    """Recordings one after the other, with quiet between."""
    quiet = np.random.default_rng(4).normal(0, 3, int(gap_s * 16000)).astype(np.int16)
    sound = [quiet]
    for piece in pieces:
        sound += [*read_file(piece), quiet]
    soundfile.write(path, np.concatenate(sound), 16000)
    return path


def messages(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["message"] for event in events if event["message"] and event["message"]["type"] == kind]


def test_the_spoken_sample_is_heard_understood_done_and_remembered(home: Home) -> None:
    home.configure(ALWAYS)
    events = home.hear(SAMPLE)
    assert [intent["name"] for intent in messages(events, "Intent")] == [
        "HassGetCurrentTime",
        "HassStartTimer",
        "AgentboxSetReminder",
        "HassShoppingListAddItem",
        "AgentboxReadList",
        "AgentboxStop",
        "AgentboxListTimers",
        "HassCancelTimer",
        "HassShoppingListCompleteItem",
    ]
    assert all(result["ok"] for result in messages(events, "ToolResult"))
    assert len(messages(events, "NotUnderstood")) == 2  # the stretch of talk, in two sentences

    turns = home.turns()
    assert [turn["intent"] for turn in turns if turn["intent"]][::-1] == [
        intent["name"] for intent in messages(events, "Intent")
    ]
    [timer] = [turn for turn in turns if turn["intent"] == "HassStartTimer"]
    assert timer["slots"] == {"name": "pizza", "minutes": 10}
    assert timer["tool_state"] == "done"
    whole = home.json("transcripts", "show", timer["id"])[0]
    assert whole["transcript"]["engine"] == "moonshine-tiny-en"
    stages = [(row["stage"], row["state"]) for row in whole["stages"]]
    # What happened before the gate opened is there too: with its times.
    assert stages[0] == ("speech", "started")
    assert ("tool_call", "started") in stages
    assert whole["audio"] is False
    assert [turn["id"] for turn in home.json("transcripts", "search", "pizza timer")] != []


def test_without_the_wake_phrase_no_word_goes_anywhere(home: Home) -> None:
    home.configure({"log": {"level": "debug"}})
    done = home.run("run", "--source", str(SAMPLE), "--fast", "--exit-when-done", "--json")
    assert done.returncode == 0
    assert '"state": "not_activated"' in done.stdout
    assert home.turns() == []
    home.run("transcripts", "list")
    kept = b"".join(path.read_bytes() for path in home.state.iterdir() if path.is_file())
    for word in ("pizza", "oven", "milk", "garden", "roses"):
        assert word not in done.stdout.lower()
        assert word not in done.stderr.lower()
        assert word.encode() not in kept.lower()


def test_a_real_voice_wakes_it_and_confirms_an_order(home: Home, data: Path, tmp_path: Path) -> None:
    order_tool = {"name": "order", "intent": "orderDrink", "argv": ["echo", "one", "{coffeeDrink}"]}
    home.configure(
        {
            "activation": {"phrases": ["computer"]},
            "intents": {"sentences": [str(data / "commands" / "sentences.yaml")]},
            "tools": {"command": {"enabled": True, "commands": [order_tool]}},
        }
    )
    order = data / "commands" / "audio" / "0ec187f5-4dd7-43f8-818a-2136bf66d94e.flac"
    wake = data / "wake" / "computer" / "001.flac"
    events = home.hear(joined(tmp_path / "talk.wav", order, wake, order))
    assert next(event["state"] for event in events if event["stage"] == "transcript") == "not_activated"
    assert [activation["by"] for activation in messages(events, "Activation")] == ["wake_phrase", "attention"]
    [intent] = messages(events, "Intent")
    assert (intent["name"], intent["source"]) == ("orderDrink", "sentences.yaml")
    assert intent["slots"] == {"roast": "dark roast", "coffeeDrink": "house coffee"}
    # A program is risky: speech asks first, and nothing has run.
    [question] = messages(events, "Confirmation")
    assert question["arguments"] == {"coffeeDrink": "house coffee"}
    assert messages(events, "ToolResult")[0]["error_code"] == "confirmation_needed"


def spoken(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A recording without the quiet before and after."""
    sound = np.concatenate(list(read_file(path)))
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 600)
    return sound[max(0, loud[0] - 1600) : loud[-1] + 1600]


def test_wake_word_and_command_come_in_one_breath(home: Home, data: Path, tmp_path: Path) -> None:
    home.configure(
        {
            "activation": {"phrases": ["computer"]},
            "intents": {"sentences": [str(data / "commands" / "sentences.yaml")]},
        }
    )
    wake = spoken(data / "wake" / "computer" / "005.flac")
    order = spoken(data / "commands" / "audio" / "0ec187f5-4dd7-43f8-818a-2136bf66d94e.flac")
    quiet = np.random.default_rng(4).normal(0, 3, 16_000).astype(np.int16)
    soundfile.write(tmp_path / "breath.wav", np.concatenate([quiet, wake, order, quiet]), 16_000)
    events = home.hear(tmp_path / "breath.wav")
    [activation] = messages(events, "Activation")
    assert (activation["by"], activation["phrase"]) == ("wake_phrase", "computer")
    # It is known that the box is meant long before all is said.
    [noticed] = [event for event in events if (event["stage"], event["state"]) == ("activation", "noticed")]
    [ended] = [
        event for event in events if event["utterance_id"] == noticed["utterance_id"] and event["state"] == "ended"
    ]
    assert events.index(noticed) < events.index(ended)
    assert noticed["timings"]["audio_ms"] < ended["timings"]["audio_ms"] - 1000
    [intent] = messages(events, "Intent")
    assert (intent["name"], intent["slots"]["coffeeDrink"]) == ("orderDrink", "house coffee")


def test_a_confirmed_program_runs_once(home: Home, start: Callable[..., Running]) -> None:
    marks = home.state / "marks"
    marks.mkdir()
    tool = {"name": "mark", "intent": "Mark", "argv": ["mktemp", "-p", str(marks)], "answer": "marked"}
    sentences = home.state / "mine.yaml"
    sentences.write_text("language: en\nintents:\n  Mark:\n    data:\n      - sentences: [leave a mark]\n")
    home.configure(
        {
            "intents": {"sentences": [str(sentences)]},
            "tools": {"command": {"enabled": True, "commands": [tool]}, "policy": {"mark": {"cli": "confirm"}}},
        }
    )
    start("--source", "-")
    assert home.run("ask", "yes", "--json").returncode == 1  # nothing was asked
    [asked] = home.json("ask", "leave a mark")
    assert (asked["outcome"], asked["ok"]) == ("question", False)
    assert list(marks.iterdir()) == []
    [no] = home.json("ask", "no")
    assert no["outcome"] == "cancelled"
    home.json("ask", "leave a mark")
    [yes] = home.json("ask", "yes")
    assert (yes["ok"], yes["reply"]) == (True, "marked")
    assert home.run("ask", "yes").returncode == 1
    assert len(list(marks.iterdir())) == 1


@pytest.mark.real_time
def test_what_is_played_into_a_microphone_arrives_in_the_journal(
    home: Home, start: Callable[..., Running], tmp_path: Path, spoken_timer: Path
) -> None:
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        pulse.play(spoken_timer)
        reply = daemon.until("reply")
        assert reply["message"]["text"] == "Pizza timer set for 10 minutes."
        [state] = home.json("status")
        assert state["sound"] == "listening"
        assert daemon.stop() == 0
    assert [turn["intent"] for turn in home.turns()] == ["HassStartTimer"]


def test_commands_reach_a_running_daemon(home: Home, start: Callable[..., Running]) -> None:
    home.configure({"intents": {"follow_up_s": 60}})
    daemon = start("--source", "-")
    [state] = home.json("status")
    assert (state["running"], state["activation"], state["model"]) == (True, "wake_phrase", "moonshine-tiny-en")
    [turn] = home.json("ask", "add milk to the shopping list")
    assert (turn["intent"], turn["ok"], turn["reply"]) == (
        "HassShoppingListAddItem",
        True,
        "Added milk to your shopping list.",
    )
    # The daemon keeps the talk: "that" is what was said through another command before.
    [undone] = home.json("ask", "cancel that")
    assert undone["ok"], undone
    assert home.json("ask", "Hey computer, what time is it?")[0]["intent"] == "HassGetCurrentTime"
    [result] = home.json("tools", "call", "read_list", "{}")
    assert "empty" in result["text"]
    assert any(tool["name"] == "start_timer" for tool in home.json("tools", "list"))
    assert len(home.turns()) == 4
    second = home.run("run", "--source", "-")
    assert second.returncode == 7
    assert "already_running" in second.stderr
    assert daemon.stop() == 0
    assert home.json("status")[0]["running"] is False


class Shop(BaseHTTPRequestHandler):
    """A web service of the owner's."""

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer s3cr3t-t0ken"
        body = json.dumps({"orders": {"total": 7 if self.path == "/api/orders?week=last" else 0}}).encode()
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_last_weeks_orders_are_asked_of_a_web_service_and_the_secret_stays_secret(home: Home) -> None:
    sentences = home.state / "orders.yaml"
    sentences.write_text(
        'language: en\nintents:\n  Orders:\n    data:\n      - sentences: ["check {week}[\'s] orders"]\n'
        "lists:\n  week:\n    values:\n      - {in: last week, out: last}\n"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        request = {
            "name": "orders",
            "intent": "Orders",
            "url": f"http://127.0.0.1:{server.server_port}/api/orders",
            "query": {"week": "{week}"},
            "headers": {"Authorization": "Bearer {secret:shop}"},
            "pick": {"count": "orders.total"},
            "answer": "{count} orders.",
        }
        home.configure(
            {"intents": {"sentences": [str(sentences)]}, "tools": {"web": [request]}, "log": {"level": "debug"}}
        )
        home.environ = {"AGENTBOX_SECRET_SHOP": "s3cr3t-t0ken"}
        [turn] = home.json("ask", "Check last week's orders.")
        assert (turn["slots"], turn["reply"]) == ({"week": "last"}, "7 orders.")
        home.environ = {"AGENTBOX_SECRET_SHOP": "wr0ng-t0ken"}
        refused = home.run("ask", "check last week's orders", "--json")
        assert refused.returncode == 1
        server.shutdown()
    written = refused.stdout + refused.stderr + home.run("transcripts", "export").stdout
    assert "t0ken" not in written
    assert "week=last" not in refused.stderr
    assert not any(b"t0ken" in path.read_bytes() for path in home.state.glob("agentbox.db*"))


def test_a_timer_survives_a_kill_and_rings(home: Home, start: Callable[..., Running]) -> None:
    first = start("--source", "-")
    # Not by a command, which a slow machine takes longer to end than the timer runs.
    turn = Client(home.state / "control.sock").call("ask", {"text": "set a tea timer for 3 seconds"})
    assert turn["ok"], turn
    first.stop(signal.SIGKILL)
    second = start("--source", "-")
    # A timer waits for nobody: where the box was slow to start, this one rang before it had.
    second.until("reply", "alert")
    rung = next(event for event in second.seen if (event["stage"], event["state"]) == ("reply", "alert"))
    assert "tea" in rung["message"]["text"].lower()
    [stopped] = home.json("ask", "stop")
    assert stopped["ok"], stopped
    second.stop()
    assert [row["intent"] for row in home.turns()][-1] == "HassStartTimer"


def test_while_it_rings_stop_needs_no_wake_phrase_and_nothing_else_is_taken(
    home: Home, start: Callable[..., Running]
) -> None:
    sample = np.concatenate(list(read_file(SAMPLE)))
    what_time_is_it, stop = sample[:56_000].tobytes(), sample[STOP_AT * 16000 : (STOP_AT + 3) * 16000].tobytes()
    daemon = start("--source", "-")
    assert daemon.process.stdin is not None
    raw = daemon.process.stdin.fileno()
    os.write(raw, stop)
    assert daemon.until("transcript")["state"] == "not_activated"
    assert home.json("ask", "remind me in 1 second to look up")[0]["ok"]
    assert "look up" in daemon.until("reply", "alert")["message"]["text"]
    os.write(raw, what_time_is_it)
    assert daemon.until("transcript")["state"] == "not_activated"
    os.write(raw, stop)
    assert daemon.until("intent")["message"]["name"] == "AgentboxStop"
    daemon.stop()
    assert [turn["intent"] for turn in home.turns()] == ["AgentboxStop", "AgentboxSetReminder"]


def test_a_state_that_cannot_be_written_does_not_silence_the_box(home: Home, spoken_timer: Path) -> None:
    home.configure({**ALWAYS, "storage": {"path": "/proc/agentbox/agentbox.db"}})
    done = home.run("run", "--source", str(spoken_timer), "--fast", "--exit-when-done", "--json")
    assert done.returncode == 0, done.stderr
    assert "state_not_writable" in done.stdout
    assert "HassStartTimer" in done.stdout
    listed = home.run("transcripts", "list")
    assert (listed.returncode, "state_not_writable" in listed.stderr) == (6, True)


def test_the_check_of_the_configuration_looks_into_what_it_names(home: Home, tmp_path: Path) -> None:
    sentences = tmp_path / "mine.yaml"
    sentences.write_text(
        "language: en\nintents:\n  HassGetCurrentTime:\n    data:\n      - sentences: ['tick {tock}']\n"
    )
    home.configure(
        {
            "intents": {"sentences": [str(sentences)]},
            "tools": {"policy": {"lamp": {"speech": "deny"}}},
        }
    )
    done = home.run("config", "check", "--json")
    assert done.returncode == 2
    problems = {problem["code"]: problem for problem in json.loads(done.stdout)["problems"]}
    assert set(problems) == {"policy_unknown_tool", "sentences_invalid"}
    assert f"{sentences}:5" in problems["sentences_invalid"]["what"]
    home.configure({"asr": {"models_dir": str(home.models_dir), "language": "zh"}})
    done = home.run("config", "check", "--json")
    [problem] = json.loads(done.stdout)["problems"]
    assert (done.returncode, problem["code"]) == (2, "model_language")
    assert "moonshine-base-zh" in problem["todo"]
    refused = home.run("run", "--source", str(SAMPLE), "--exit-when-done")
    assert (refused.returncode, "model_language" in refused.stderr) == (2, True)
    home.configure({})
    assert home.json("config", "check")[0]["ok"] is True


def test_a_plugin_of_the_owners_is_spoken_to_in_its_own_sentences(home: Home) -> None:
    folder = home.state / "plugins"
    folder.mkdir()
    shutil.copy(Path(__file__).parents[1] / "plugin_example" / "agentbox_dice.py", folder)
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    home.configure({"tools": {"plugins_dir": str(folder)}})
    done = home.run("ask", "roll three dice", "--json")
    turn = json.loads(done.stdout)
    assert (turn["ok"], turn["slots"]) == (True, {"count": 3})
    assert len(re.findall(r"[1-6]", turn["reply"])) == 3
    assert "tool_module_broken" in done.stderr


@pytest.mark.parametrize("default_is_there", [True, False])
def test_a_damaged_model_is_told_and_the_default_one_hears(
    home: Home, tmp_path: Path, spoken_timer: Path, default_is_there: bool
) -> None:
    models = home.models_dir
    folder = tmp_path / "model"
    shutil.copytree(models / "moonshine-tiny-en", folder)
    (folder / "tokenizer.bin").write_bytes(b"\xff" * 1000)
    if not default_is_there:
        models = tmp_path / "models"
        shutil.copytree(home.models_dir / "silero-vad-16k", models / "silero-vad-16k")
    home.configure(ALWAYS | {"asr": {"models_dir": str(models), "model": str(folder)}})
    done = home.run("run", "--source", str(spoken_timer), "--fast", "--exit-when-done")
    assert "model_damaged" in done.stderr
    assert "Traceback" not in done.stderr
    if not default_is_there:
        assert done.returncode == 4
        return
    assert done.returncode == 0
    assert "Until that is mended the box hears with moonshine-tiny-en." in done.stderr
    assert "HassStartTimer" in [turn["intent"] for turn in home.turns()]


def test_a_file_that_is_no_sound_ends_it_with_a_code(home: Home, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no sound")
    done = home.run("run", "--source", str(tmp_path / "notes.wav"), "--exit-when-done")
    assert (done.returncode, "file_not_audio" in done.stderr) == (3, True)
    done = home.run("transcribe", str(tmp_path / "none.wav"), str(SAMPLE), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["text"].startswith("What time is it")


def test_a_reload_takes_over_what_it_can_and_refuses_what_is_wrong(
    home: Home, start: Callable[..., Running], tmp_path: Path
) -> None:
    sentences = tmp_path / "mine.yaml"
    home.configure({"intents": {"sentences": [str(sentences)]}})
    sentences.write_text("language: en\nintents:\n  HassGetCurrentTime:\n    data:\n      - sentences: [tick tock]\n")
    daemon = start("--source", "-")
    assert home.json("ask", "tick tock")[0]["intent"] == "HassGetCurrentTime"
    sentences.write_text("language: en\nintents:\n  HassGetCurrentDate:\n    data:\n      - sentences: [tick tock]\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until("box", "reloaded")
    assert home.json("ask", "tick tock")[0]["intent"] == "HassGetCurrentDate"
    home.config_file.write_text("audio: {volume: 11}\n")
    daemon.process.send_signal(signal.SIGHUP)
    notice = daemon.until("notice", "config_invalid")
    assert "volume" in notice["message"]["what"]
    home.configure({})
    assert home.json("ask", "tick tock")[0]["intent"] == "HassGetCurrentDate"
    assert daemon.stop() == 0


def test_raw_sound_on_standard_input(home: Home) -> None:
    home.configure(ALWAYS)
    blocks = np.concatenate(list(read_file(SAMPLE)))[: 16000 * 4]
    done = home.run("run", "--source", "-", "--exit-when-done", "--json", input=blocks.tobytes() + b"\0")
    assert done.returncode == 0, done.stderr
    assert "HassGetCurrentTime" in done.stdout


def test_listen_shows_the_turn_that_it_asked_for(home: Home, start: Callable[..., Running]) -> None:
    home.configure({"activation": {"mode": "push_to_talk"}})
    daemon = start("--source", "-")
    assert daemon.process.stdin is not None
    listening = subprocess.Popen(
        home.command("listen", "--json"), env=home.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    daemon.until("activation", "pressed")
    command = np.concatenate(list(read_file(SAMPLE)))[: 16000 * 3].tobytes()
    os.write(daemon.process.stdin.fileno(), command)
    output, _ = listening.communicate(timeout=30)
    assert listening.returncode == 0
    events = [json.loads(line) for line in output.splitlines()]
    assert [intent["name"] for intent in messages(events, "Intent")] == ["HassGetCurrentTime"]
    assert events[-1]["stage"] == "reply"
    assert daemon.stop() == 0
    nobody = home.run("listen")
    assert (nobody.returncode, "not_running" in nobody.stderr) == (7, True)


def test_it_ends_when_told_though_its_standard_input_stays_open(home: Home, start: Callable[..., Running]) -> None:
    daemon = start("--source", "-")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=20) == 0


def test_push_to_talk_hears_only_what_is_said_after_the_press(home: Home, start: Callable[..., Running]) -> None:
    home.configure({"activation": {"mode": "push_to_talk"}})
    command = np.concatenate(list(read_file(SAMPLE)))[: 16000 * 3].tobytes()
    daemon = start("--source", "-")
    assert daemon.process.stdin is not None
    raw = daemon.process.stdin.fileno()
    os.write(raw, command)
    time.sleep(0.5)  # long enough for it to have been heard, had it listened
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.until("activation", "pressed")
    os.write(raw, command)
    intent = daemon.until("intent")
    assert intent["message"]["name"] == "HassGetCurrentTime"
    daemon.stop()
    assert len(home.turns()) == 1


def test_a_box_without_a_microphone_stays_up_and_says_so(home: Home, start: Callable[..., Running]) -> None:
    audio = {"input_device": "no such microphone", "sounds": False}
    home.configure({"audio": audio, "page": {"enabled": False}})  # another test's box may have its port
    daemon = start()
    notice = daemon.until("notice")
    assert notice["state"] in ("no_device", "device_missing")
    [turn] = home.json("ask", "what time is it")
    assert turn["ok"]
    [state] = home.json("status")
    assert state["sound"].startswith("no microphone")
    assert (state["healthy"], state["microphone"], state["queue"]) == (True, None, 0)
    assert state["last_error"] in ("no_device", "device_missing")
    doctor = home.run("doctor", "--json")
    assert doctor.returncode == 1
    found = {finding["check"]: finding for finding in map(json.loads, doctor.stdout.splitlines())}
    assert (found["daemon"]["state"], found["microphone"]["state"]) == ("ok", "fail")
    assert found["microphone"]["what"].startswith("no microphone")
    assert daemon.stop() == 0


def test_nothing_is_kept_where_the_owner_wants_nothing_kept(home: Home, spoken_timer: Path) -> None:
    home.configure({**ALWAYS, "storage": {"transcripts": False}})
    events = home.hear(spoken_timer)
    assert messages(events, "Intent")
    assert home.turns() == []
    for path in home.state.glob("agentbox.db*"):
        assert b"timer for" not in path.read_bytes().lower(), "the timer itself may be there, as it is asked for"


def test_sound_is_kept_only_on_request_and_goes_with_its_turn(home: Home, spoken_timer: Path) -> None:
    home.configure({**ALWAYS, "storage": {"audio": True}})
    home.hear(spoken_timer)
    turn = home.turns()[0]
    assert home.json("transcripts", "show", turn["id"])[0]["audio"] is True
    assert any(b"fLaC" in path.read_bytes() for path in home.state.glob("agentbox.db*"))
    assert home.run("transcripts", "delete", "--all", "--yes").returncode == 0
    assert home.turns() == []
    assert not any(b"fLaC" in path.read_bytes() for path in home.state.glob("agentbox.db*"))
