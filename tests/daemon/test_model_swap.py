"""Another speech model while the box runs: it hears on, nothing is lost, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from agentbox import settings
from agentbox.audio.files import read_file
from agentbox.config import Asr, Config
from agentbox.control.client import Client
from agentbox.daemon.box import Box
from agentbox.daemon.mind import Tongue
from agentbox.daemon.model_handlers import ModelHandlers
from agentbox.daemon.settings_handlers import SettingsHandlers
from agentbox.daemon.speech_model import InUse
from agentbox.errors import AgentboxError, InputError, ModelError
from tests.daemon.conftest import SAMPLE, Home, Running

FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")


def model_folder(folder: Path, models_dir: Path, **changed: Callable[[bytes], bytes]) -> Path:
    """The default model as a folder of the owner's; `changed`: what is done to a file, by the first letter of its
    name."""
    folder.mkdir(parents=True)
    for name in FILES:
        data = (models_dir / "moonshine-tiny-en" / name).read_bytes()
        (folder / name).write_bytes(changed[name[0]](data) if name[0] in changed else data)
    return folder


def with_noise(data: bytes) -> bytes:
    damaged, seeded = bytearray(data), random.Random(1)
    for _ in range(2000):
        damaged[seeded.randrange(len(damaged))] = seeded.randrange(256)
    return bytes(damaged)


DAMAGES: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "a decoder cut in half": {"d": lambda data: data[: len(data) // 2]},
    "an encoder with bytes changed": {"e": with_noise},
    "an encoder of zeros": {"e": lambda data: data[:4096] + bytes(len(data) - 4096)},
    "another token table": {"t": lambda data: data[:1000]},
    "an empty file": {"e": lambda _: b""},
}


class Speaker:
    """Says "Set a pizza timer for ten minutes" to a daemon that listens to its standard input."""

    def __init__(self, daemon: Running) -> None:
        sound = np.concatenate(list(read_file(SAMPLE)))
        self._daemon = daemon
        self._begin, self._end = sound[73_600:100_000].tobytes(), sound[100_000:140_800].tobytes()

    def begin(self) -> None:
        """The first words; an utterance is under way then."""
        self._write(self._begin)
        self._daemon.until("speech", "started")

    def end(self) -> dict[str, Any]:
        """The rest, and the transcript of the whole."""
        self._write(self._end)
        message: dict[str, Any] = self._daemon.until("transcript")["message"]
        return message

    def _write(self, data: bytes) -> None:
        assert self._daemon.process.stdin is not None
        while data:
            data = data[os.write(self._daemon.process.stdin.fileno(), data) :]


def hears(speaker: Speaker, engine: str) -> None:
    said = speaker.end()
    assert (said["engine"], "pizza timer" in said["text"].lower()) == (engine, True)


def is_refused(client: Client, name: str, code: str) -> None:
    with pytest.raises(AgentboxError) as caught:
        client.call("models.use", {"name": name})
    assert caught.value.code == code


@pytest.mark.timeout(300)
def test_the_model_changes_amidst_an_utterance_and_nothing_is_lost(
    home: Home, start: Callable[..., Running], tmp_path: Path
) -> None:
    home.configure({"activation": {"mode": "always"}})
    good = model_folder(tmp_path / "good", home.models_dir)
    bad = model_folder(tmp_path / "bad", home.models_dir, d=lambda data: data[: len(data) // 2])
    daemon = start("--source", "-")
    speaker, client = Speaker(daemon), Client(home.state / "control.sock")
    chosen = home.state / "settings.yaml"

    # A damaged one: told, and the one there is decodes what was being said.
    speaker.begin()
    is_refused(client, str(bad), "model_damaged")
    hears(speaker, "moonshine-tiny-en")
    assert not chosen.exists()
    assert client.call("status")["model"] == "moonshine-tiny-en"

    # A good one hears the end of what was begun with the other.
    speaker.begin()
    [done] = home.json("models", "use", str(good))
    assert done == {"model": str(good), "former": "moonshine-tiny-en", "counts": "now"}
    hears(speaker, "good")
    assert client.call("status")["model"] == str(good)
    assert yaml.safe_load(chosen.read_text()) == {"asr": {"model": str(good)}}
    assert any((event["stage"], event["state"]) == ("box", "model_changed") for event in daemon.seen)
    assert daemon.stop() == 0
    heard = [turn["text"].lower() for turn in home.turns()]
    assert len(heard) == 2
    assert all("pizza timer" in text for text in heard)


@pytest.mark.timeout(300)
def test_a_setting_changes_the_model_too_as_the_page_does_it(
    home: Home, start: Callable[..., Running], tmp_path: Path
) -> None:
    good = model_folder(tmp_path / "good", home.models_dir)
    asr = {"models_dir": str(home.models_dir), "model": str(good)}
    home.configure({"activation": {"mode": "always"}, "asr": asr})
    daemon = start("--source", "-")
    speaker, client = Speaker(daemon), Client(home.state / "control.sock")
    speaker.begin()
    values: Any = {"asr.model": "moonshine-tiny-en", "asr.language": "en"}
    changed = client.call("config.set", {"values": values})
    assert changed == {"changed": ["asr.language", "asr.model"], "restart_needed": False}
    hears(speaker, "moonshine-tiny-en")
    # What does not know the language, what is not here, and what is none.
    is_refused(client, "moonshine-base-zh", "model_language")
    is_refused(client, str(tmp_path), "model_missing")
    is_refused(client, str(tmp_path / "nowhere"), "model_missing")
    assert client.call("status")["model"] == "moonshine-tiny-en"
    speaker.begin()
    hears(speaker, "moonshine-tiny-en")
    assert daemon.stop() == 0


def test_without_a_running_box_the_choice_is_tried_and_written_down(home: Home, tmp_path: Path) -> None:
    good = model_folder(tmp_path / "good", home.models_dir)
    [done] = home.json("models", "use", str(good))
    assert done["counts"] == "later"
    assert yaml.safe_load((home.state / "settings.yaml").read_text()) == {"asr": {"model": str(good)}}
    (good / FILES[1]).write_bytes(b"")
    assert home.run("models", "use", str(good)).returncode == 4
    missing = home.run("models", "use", "moonshine-tiny-ja", "--json")
    assert (missing.returncode, "[model_language]" in missing.stderr) == (2, True)
    unknown = home.run("models", "use", "moonshine-tiny")
    assert (unknown.returncode, "[model_unknown]" in unknown.stderr) == (4, True)


@pytest.fixture
def core(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As much of the box as the handlers of models use."""
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"asr": {"models_dir": str(models_dir)}}))
    loaded = settings.load(tmp_path / "config.yaml")
    return SimpleNamespace(loaded=loaded, config=loaded.config)


async def test_a_phone_may_name_models_and_no_folders(tmp_path: Path, models_dir: Path, core: Any) -> None:
    reloads: list[bool] = []

    class Daemon:
        async def reload(self, *, model_anew: bool = False) -> None:
            reloads.append(model_anew)

    daemon: Any = Daemon()
    page = ModelHandlers(core, SettingsHandlers(core, daemon.reload), daemon, "page")
    folder = model_folder(tmp_path / "mine", models_dir)
    with pytest.raises(InputError) as caught:
        await page.use({"name": str(folder)})
    assert caught.value.code == "config_value"
    with pytest.raises(ModelError) as missing:
        await page.use({"name": "no-such-model"})
    assert missing.value.code == "model_unknown"
    assert not reloads
    await page.use({"name": "moonshine-tiny-en"})
    assert reloads == [True]
    shell = ModelHandlers(core, SettingsHandlers(core, daemon.reload), daemon, "cli")
    await shell.use({"name": str(folder)})
    assert reloads == [True, False]


async def test_a_folder_by_a_roundabout_path_is_the_one_in_use(tmp_path: Path, core: Any) -> None:
    anew: list[bool] = []

    class Daemon:
        async def reload(self, *, model_anew: bool = False) -> None:
            anew.append(model_anew)
            core.config = settings.load(tmp_path / "config.yaml").config

    daemon: Any = Daemon()
    shell = ModelHandlers(core, SettingsHandlers(core, daemon.reload), daemon, "cli")
    for _ in range(2):
        done: Any = await shell.use({"name": f"{tmp_path}/elsewhere/../mine/"})
        assert (done["model"], done["counts"]) == (str(tmp_path / "mine"), "now")
    assert anew == [False, True]


async def test_without_a_running_box_nothing_hears_from_now_on(core: Any) -> None:
    done: Any = await ModelHandlers(core, SettingsHandlers(core), None, "cli").use({"name": core.config.asr.model})
    assert done["counts"] == "later"


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_model_is_an_error_and_not_the_end(damage: str, tmp_path: Path, models_dir: Path) -> None:
    folder = model_folder(tmp_path / "bad", models_dir, **DAMAGES[damage])
    config = Config(asr=Asr(models_dir=str(models_dir)))
    in_use = InUse(config)
    other = msgspec.structs.replace(config, asr=msgspec.structs.replace(config.asr, model=str(folder)))
    with pytest.raises(ModelError) as caught:
        await in_use.change(other)
    assert caught.value.code == "model_damaged"
    assert in_use.asr == config.asr


async def test_one_bad_line_in_the_file_is_told_again_and_stops_nothing_else(tmp_path: Path, models_dir: Path) -> None:
    config = Config(asr=Asr(models_dir=str(models_dir)))
    in_use = InUse(config)
    bad = msgspec.structs.replace(config, asr=msgspec.structs.replace(config.asr, model=str(tmp_path)))
    with pytest.raises(ModelError):
        await in_use.change(bad)
    again = await in_use.change(bad)
    assert again.problem is not None
    assert (again.problem.code, again.asr, again.engine) == ("model_missing", config.asr, None)
    asr = msgspec.structs.replace(bad.asr, hotwords=["Goudriaan"], partials=False)
    beside = await in_use.change(msgspec.structs.replace(bad, asr=asr))
    assert beside.problem is not None
    assert beside.asr == msgspec.structs.replace(asr, model=config.asr.model), "what is no model counts"
    assert (await in_use.change(config)).problem is None
    with pytest.raises(ModelError):  # what was put right meanwhile is a mistake anew
        await in_use.change(bad)


async def test_a_box_that_ends_does_not_wait_for_a_model_that_hangs(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, number = tmp_path / "python", tmp_path / "number"
    program.write_text(f"#!/bin/sh\necho $$ >{number}.new\nmv {number}.new {number}\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    config = Config(asr=Asr(models_dir=str(models_dir)))
    changing = asyncio.create_task(InUse(config).change(config, anew=True))
    while not number.exists():
        await asyncio.sleep(0.01)
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    while Path("/proc", number.read_text().strip()).exists():
        await asyncio.sleep(0.01)


async def test_what_is_no_other_model_loads_none(models_dir: Path) -> None:
    config = Config(asr=Asr(models_dir=str(models_dir)))
    in_use = InUse(config)
    other = msgspec.structs.replace(config, asr=msgspec.structs.replace(config.asr, partials=False))
    found = await in_use.change(other)
    assert (found.engine, found.asr.partials) == (None, False)
    # Another language waits for the next start, and its model with it.
    later = Config(asr=Asr(models_dir=str(models_dir), language="zh", model="moonshine-base-zh"))
    assert (await in_use.change(later)).asr == config.asr


@pytest.mark.parametrize(("heard", "ready"), [(False, ["en"]), (True, ["en", "zh-CN"])])
def test_sentences_are_made_ready_in_the_languages_that_are_heard(heard: bool, ready: list[str]) -> None:
    def tongue(language: str, heard: bool) -> Tongue:
        understander: Any = SimpleNamespace(spoken=SimpleNamespace(grammar=language, active=lambda _: []))
        return Tongue(language, understander, heard)

    prepared: list[str] = []
    mind = SimpleNamespace(hotwords=None, tongues=(tongue("en", True), tongue("zh-CN", heard)))
    box: Any = SimpleNamespace(core=SimpleNamespace(attention=SimpleNamespace(talk=SimpleNamespace(mind=mind))))
    worker: Any = SimpleNamespace(
        use_hotwords=lambda _: None,
        prepare=lambda *sentences: prepared.extend(one.grammar for one in sentences),
    )
    Box._prepare(box, worker)
    assert prepared == ready


async def test_more_threads_are_another_model(models_dir: Path) -> None:
    config = Config(asr=Asr(models_dir=str(models_dir)))
    in_use = InUse(config)
    wanted = Config(asr=Asr(models_dir=str(models_dir), threads=2))
    change = await in_use.change(wanted)
    assert change.engine is not None
    in_use.taken(change, wanted)
    assert (await in_use.change(wanted)).engine is None
    anew = await in_use.change(wanted, anew=True)
    assert anew.engine is not None
