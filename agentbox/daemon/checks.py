"""Is all well with the box, and if not, what to do: for `agentbox doctor` and for the page."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from agentbox import paths, settings
from agentbox.asr.catalogue import Catalogue, check
from agentbox.asr.load import check_language, is_folder
from agentbox.asr.pull import folder_of
from agentbox.audio.capture import Microphone
from agentbox.audio.devices import find_device
from agentbox.audio.gate import level_dbfs
from agentbox.config import Config, Speech
from agentbox.control.client import Client
from agentbox.daemon.box import VAD_MODEL
from agentbox.daemon.mind import load_phrases, load_tools, make_understanders, problems_of
from agentbox.daemon.sources import echo_way, make_echo
from agentbox.daemon.system_handlers import FIRST_YEAR
from agentbox.errors import AgentboxError, ModelError
from agentbox.languages import normal_language
from agentbox.messages import Notice
from agentbox.realtime.backends import VOICES
from agentbox.tools.phrases import LANGUAGES
from agentbox.tts.espeak import EspeakVoice
from agentbox.tts.load import voice_of

Status: TypeAlias = dict[str, Any]
"""What a running daemon says of itself (docs/control.md, `status`)."""

LISTEN_S = 1.0
LITTLE_DISK_BYTES = 200 << 20
QUIET_DBFS = -85.0
"""Below this a microphone is most likely muted: even a quiet room is louder."""
LOUD_DBFS = -20.0

CHOOSE_SECOND = "Set asr.second_model to another one, or to nothing."


class Finding(NamedTuple):
    check: str
    state: Literal["ok", "warn", "fail"]
    what: str
    todo: str = ""


def examine(config_file: Path | None) -> Iterator[Finding]:
    """Every check, one after the other; one that fails does not stop the rest."""
    config = Config()
    try:
        loaded = settings.load(config_file)
    except AgentboxError as error:
        yield Finding("config", "fail", f"{error.what} [{error.code}]", f"{error.todo} The rest is for the defaults.")
    else:
        config = loaded.config
        yield Finding("config", "ok", str(loaded.file or "no file; the defaults are used"))
    client = Client(paths.control_socket(config))
    running = client.call("status") if client.is_running() else None
    yield from look(config, running, lambda: problems(config))


def look(config: Config, running: Status | None, problems: Callable[[], Iterable[Notice]]) -> Iterator[Finding]:
    """Every check of a configuration that could be read. It takes seconds: not in the event loop.

    `running`: what the daemon says of itself, null where none runs. `problems`: what is wrong with its tools.
    """
    checks: dict[str, Callable[[Config], Finding]] = {
        "daemon": lambda _: _daemon(running),
        "tools": lambda _: _tools(problems()),
        "microphone": lambda config: _microphone(config, running),
        "speaker": _speaker,
        "voice": _voice,
        "echo": lambda config: _echo(config, running),
        "model": _model,
        "database": _database,
        "disk": _disk,
        "clock": lambda _: _clock(time.time()),
    }
    if config.asr.second_model is not None:
        checks["second model"] = lambda config: _second_model(config, running)
    for name, check_one in checks.items():
        try:
            yield check_one(config)
        except AgentboxError as error:
            yield Finding(name, "fail", f"{error.what} [{error.code}]", error.todo)


def _daemon(status: Status | None) -> Finding:
    if status is None:
        return Finding("daemon", "warn", "none is running", "Start it: agentbox run, or systemctl start agentbox")
    hours = status["up_s"] / 3600
    what = f"runs since {hours:.1f} h and answers; {status['utterances_last_hour']} utterances in the last hour"
    if status["healthy"]:
        return Finding("daemon", "ok", what)
    return Finding("daemon", "fail", f"{what}, but something in it hangs", "Restart it: systemctl restart agentbox")


def problems(config: Config) -> Iterator[Notice]:
    """What is wrong with a configuration beyond the file itself. Loads its tools, plugins and sentences."""
    try:
        if not is_folder(config.asr.model):
            catalogue = Catalogue.load()
            check_language(catalogue.get(config.asr.model), config.language, catalogue)
    except AgentboxError as error:
        yield Notice(code=error.code, what=error.what, todo=error.todo, level="error")
    registry = load_tools(config)
    yield from problems_of(config, registry, make_understanders(config, registry), load_phrases(config)[1])


def _tools(problems: Iterable[Notice]) -> Finding:
    found = list(problems)
    if found:
        more = f" (and {len(found) - 1} more: agentbox config check)" if len(found) > 1 else ""
        return Finding("tools", "warn", f"{found[0].what}{more}", found[0].todo)
    return Finding("tools", "ok", "tools, plugins and sentences are all read")


def _microphone(config: Config, running: Status | None) -> Finding:
    if running is not None:
        if running["sound"].startswith("no microphone"):
            todo = "Is it plugged in? agentbox devices lists what is there."
            return Finding("microphone", "fail", running["sound"], todo)
        if running["muted"]:
            return Finding("microphone", "ok", running["sound"])
        name = running["microphone"] or running["sound"]
        return Finding("microphone", "ok", f"{name}: {running['level_dbfs']:.0f} dBFS now")
    name, level = asyncio.run(_listen(config))
    what = f"{name}: {level:.0f} dBFS over {LISTEN_S:.0f} s"
    if level < QUIET_DBFS:
        return Finding("microphone", "warn", f"{what}: next to nothing", "Is it muted, or turned down in the mixer?")
    if level > LOUD_DBFS:
        return Finding("microphone", "warn", f"{what}: very loud", "Turn it down in the mixer, or move it away.")
    return Finding("microphone", "ok", what)


async def _listen(config: Config) -> tuple[str, float]:
    microphone = Microphone(config.audio)
    microphone.open()
    samples = np.zeros(0, dtype=np.int16)
    try:
        async for block in microphone.blocks():
            samples = np.concatenate([samples, block])
            if samples.size >= LISTEN_S * 16_000:
                break
    finally:
        await microphone.close()
    return microphone.device.name if microphone.device else "?", level_dbfs(samples)


def _speaker(config: Config) -> Finding:
    if not config.audio.sounds and config.speech.verbosity == "sounds":
        return Finding("speaker", "ok", "not used (audio.sounds is off, and speech.verbosity is sounds)")
    try:
        return Finding("speaker", "ok", find_device(config.audio.output_device, "output").name)
    except AgentboxError as error:
        # The box hears and acts without one; it only cannot be heard.
        return Finding("speaker", "warn", f"{error.what} [{error.code}]", error.todo)


def _voice(config: Config) -> Finding:
    """Each language that the box can answer in, the one that is set first, and the voice that would say it."""
    if config.speech.verbosity == "sounds":
        return Finding("voice", "ok", "not used (speech.verbosity is sounds)")
    try:
        named = [f"{config.language}: {_voice_for(config.speech, config.language)}"]
    except ModelError as error:
        # The box hears and acts without one, and answers by sounds.
        return Finding("voice", "warn", f"{config.language}: none. {error.what} [{error.code}]", error.todo)
    otherwise = Speech(voice="espeak" if config.speech.voice == "espeak" else "auto")
    for language in map(normal_language, LANGUAGES):
        if language.split("-")[0] != config.language.split("-")[0]:
            try:
                named.append(f"{language}: {_voice_for(otherwise, language)}")
            except ModelError as error:
                named.append(f"{language}: none [{error.code}]")
    if config.cloud.is_wanted:
        cloud = [f"{one.name} ({one.kind})" for one in config.cloud.backends if one.kind in VOICES]
        named += [f"answers by {' or '.join(cloud)}, where it can be had"] if cloud else []
    return Finding("voice", "ok", "; ".join(named))


def _voice_for(speech: Speech, language: str) -> str:
    """Raises `ModelError` `voice_missing`."""
    voice = voice_of(speech, language, None)
    voice.close()
    return f"{voice.name} (robotic)" if isinstance(voice, EspeakVoice) else voice.name


def _echo(config: Config, running: Status | None) -> Finding:
    way: str = running["echo"] if running is not None else echo_way(make_echo("mic", config.audio))
    if way == "cancelled":
        return Finding("echo", "ok", "cancelled: you can speak while the box speaks")
    if way == "none":
        return Finding("echo", "ok", "not looked after (audio.echo is none, or the sound comes from a file)")
    what = 'half-duplex: while the box speaks, only "stop" and the wake phrase count'
    if config.audio.echo == "half_duplex":
        return Finding("echo", "ok", what)
    return Finding("echo", "warn", what, "Install the package pywebrtc-audio, if there is one for this machine.")


def _model(config: Config) -> Finding:
    catalogue = Catalogue.load()
    folder = paths.models_dir(config)
    names = [VAD_MODEL] if is_folder(config.asr.model) else [config.asr.model, VAD_MODEL]
    for name in names:
        model = catalogue.get(name)
        if name != VAD_MODEL:
            check_language(model, config.language, catalogue)
        if problems := check(model, folder_of(model, folder)):
            what = "; ".join(f"{one.file} {one.what}" for one in problems)
            return Finding("model", "fail", f"{name}: {what}", f"agentbox models pull {name}")
    return Finding("model", "ok", f"{config.asr.model} for {config.language}, whole")


def _second_model(config: Config, running: Status | None) -> Finding:
    name = config.asr.second_model or ""
    if name == config.asr.model:
        return Finding("second model", "warn", f"{name} is the first as well, and reads nothing again", CHOOSE_SECOND)
    if not is_folder(name):
        catalogue = Catalogue.load()
        model = catalogue.get(name)
        check_language(model, config.language, catalogue)
        if problems := check(model, folder_of(model, paths.models_dir(config))):
            what = "; ".join(f"{one.file} {one.what}" for one in problems)
            return Finding("second model", "fail", f"{name}: {what}", f"agentbox models pull {name}")
    state = running["second_model_state"] if running is not None else "none is running"
    if state == "failed":
        todo = "agentbox status tells why; systemctl reload agentbox tries again."
        return Finding("second model", "fail", f"{name} cannot be used", todo)
    return Finding("second model", "ok", f"{name} ({state})")


def _database(config: Config) -> Finding:
    file = paths.database(config)
    if not file.exists():
        return Finding("database", "ok", f"{file} is made at the first start")
    if os.stat(file).st_mode & 0o077:
        return Finding("database", "fail", f"{file} may be read by other users", f"chmod 600 {file}")
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            (verdict,) = database.execute("pragma quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        return Finding("database", "fail", f"{file}: {verdict}", "The next start keeps it aside and begins a new one.")
    return Finding("database", "ok", f"{file}, {file.stat().st_size / 1e6:.1f} MB")


def _disk(_: Config) -> Finding:
    folder = paths.prepare(paths.state_dir())
    if not os.access(folder, os.W_OK):
        return Finding("disk", "fail", f"{folder} cannot be written", "Give this user write access to it.")
    free = shutil.disk_usage(folder).free
    state: Literal["ok", "warn"] = "warn" if free < LITTLE_DISK_BYTES else "ok"
    todo = "Make room: agentbox transcripts delete, or lower storage.retention_days." if state == "warn" else ""
    return Finding("disk", state, f"{free / 1e9:.1f} GB free at {folder}", todo)


def _clock(now: float) -> Finding:
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if time.localtime(now).tm_year < FIRST_YEAR:
        return Finding("clock", "fail", f"it is set to {shown}", "Set it: timedatectl set-ntp true")
    return Finding("clock", "ok", shown)
