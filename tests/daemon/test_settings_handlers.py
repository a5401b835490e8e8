"""Settings by page: only what is listed, checked before it counts, put back where the box cannot live by it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import yaml

from agentbox import paths, settings
from agentbox.asr.catalogue import Catalogue
from agentbox.config import Config
from agentbox.daemon.changeable import BACKEND_FIELDS, CHANGEABLE, flat
from agentbox.daemon.settings_handlers import SettingsHandlers
from agentbox.errors import ConfigError, InputError, ModelError
from agentbox.messages import JSON

OWNERS = {
    "speech": {"pace": 1.1},
    "cloud": {"backends": [{"name": "mine", "kind": "openai", "url": "wss://here.example/v1", "app_id": "a7"}]},
}


class Made:
    """The handlers over a file of the owner's, and the file that they write."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.yaml"
        self.file.write_text(yaml.safe_dump(OWNERS))
        self.settings = folder / "settings.yaml"
        self.loaded = settings.load(self.file)
        self.reloads = 0
        self.fails: BaseException | None = None
        core = SimpleNamespace(loaded=self.loaded, config=self.loaded.config)
        self.table = cast(Any, SettingsHandlers(cast(Any, core), self._reload).table())

    async def _reload(self) -> None:
        self.reloads += 1
        error, self.fails = self.fails, None
        if error is not None:
            raise error

    async def set(self, **params: JSON) -> Any:
        return await self.table["config.set"](params)

    async def get(self) -> dict[str, Any]:
        return {row["key"]: row for row in await self.table["config.get"]({})}

    @property
    def written(self) -> Any:
        return yaml.safe_load(self.settings.read_text()) if self.settings.exists() else None

    @property
    def config(self) -> Config:
        return settings.load(self.file).config


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    return Made(tmp_path)


def test_the_list_names_keys_that_exist_and_no_path_program_or_address() -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(Config)}
    for key in CHANGEABLE:
        section, name = key.split(".")
        assert name in {field.name for field in msgspec.structs.fields(known[section])}, key
        assert not {"path", "dir", "url", "program", "file", "socket", "certificate", "plugins"} & set(name.split("_"))
    assert not {"page.lan", "page.port", "page.enabled", "tools.command", "tools.web", "brain.url"} & set(CHANGEABLE)
    assert not {"url", "options", "key", "price"} & set(BACKEND_FIELDS)


async def test_what_is_set_counts_and_says_from_where(made: Made) -> None:
    assert await made.set(key="speech.pace", value=1.5) == {"changed": ["speech.pace"], "restart_needed": False}
    rows = await made.get()
    assert rows["speech.pace"]["value"] == 1.5
    assert rows["speech.pace"]["source"] == "settings"
    assert rows["speech.pace"]["changeable"]
    assert rows["persona.name"]["source"] == "default"
    assert rows["cloud.backends"]["source"] == "file"
    assert not rows["page.lan"]["changeable"]
    assert made.reloads == 1
    assert str(made.file) not in repr(rows)


async def test_what_counts_later_says_so(made: Made) -> None:
    assert (await made.set(key="storage.retention_days", value=7))["restart_needed"]
    assert (await made.get())["storage.retention_days"]["restart_needed"]


@pytest.mark.parametrize(
    "values",
    [
        {"speech.pace": 9},
        {"speech.pace": "fast"},
        {"speech.voice": "piper"},
        {"persona.name": ""},
        {"activation.phrases": []},
        {"speech.quiet_hours": "25:00-26:00"},
        {"cloud.policy": "always"},
        {"tools.policy": {"start_timer": {"speech": "maybe"}}},
        {"cloud.backends": [{"name": "x"}]},
        {"cloud.backends": [{"name": "x", "kind": "gopher"}]},
        {"speech.pace": 1.5, "cloud.policy": "always"},
    ],
)
async def test_a_value_that_does_not_fit_changes_nothing(made: Made, values: dict[str, JSON]) -> None:
    await made.set(key="persona.name", value="Ann")
    before = made.written
    with pytest.raises(ConfigError) as caught:
        await made.set(values=values)
    assert caught.value.code == "config_invalid"
    assert "settings.yaml" not in str(caught.value)
    assert made.written == before
    assert made.reloads == 1
    assert sorted(file.name for file in made.file.parent.iterdir()) == ["config.yaml", "settings.yaml"]


@pytest.mark.parametrize("key", ["page.port", "tools.plugins_dir", "speech.piper_program", "nonsense", "", "speech"])
async def test_what_is_not_on_the_list_stays(made: Made, key: str) -> None:
    with pytest.raises(InputError) as caught:
        await made.set(key=key, value="x")
    assert caught.value.code == "config_key_fixed"
    assert made.written is None


@pytest.mark.parametrize("model", ["/tmp/model", "~/model", "no-such-model", "silero-vad-16k"])
async def test_a_model_that_would_keep_the_box_from_starting(made: Made, model: str) -> None:
    with pytest.raises((InputError, ModelError)):
        await made.set(key="asr.model", value=model)
    assert made.written is None


async def test_a_language_needs_a_model_that_knows_it(made: Made) -> None:
    with pytest.raises(ConfigError) as caught:
        await made.set(key="asr.language", value="zh")
    assert caught.value.code == "model_language"
    values: dict[str, JSON] = {"asr.language": "zh", "asr.model": "moonshine-base-zh"}
    with pytest.raises(ModelError) as missing:
        await made.set(values=values)
    assert missing.value.code == "model_missing"
    for name, file in Catalogue.load().get("moonshine-base-zh").files.items():
        place = paths.models_dir(made.config) / "moonshine-base-zh" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        os.truncate(place, file.bytes)
    assert (await made.set(values=values))["restart_needed"]
    assert made.config.language == "zh-CN"


async def test_what_the_box_had_no_time_to_try_is_put_back(made: Made) -> None:
    made.fails = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await made.set(key="speech.pace", value=1.5)
    assert made.written is None


async def test_a_model_that_could_not_change_at_once_waits_for_a_restart(made: Made) -> None:
    """As where its language waits too."""
    for name in ("moonshine-tiny-en", "moonshine-base-en"):
        for file, about in Catalogue.load().get(name).files.items():
            place = paths.models_dir(made.config) / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            os.truncate(place, about.bytes)
    assert (await made.set(key="asr.model", value="moonshine-base-en"))["restart_needed"]
    assert not (await made.set(key="asr.model", value="moonshine-tiny-en"))["restart_needed"]


async def test_a_backend_keeps_what_is_not_given_and_its_address_cannot_be_set(made: Made) -> None:
    await made.set(key="cloud.backends", value=[{"name": "mine", "voice": "echo"}, {"name": "q", "kind": "qwen"}])
    mine, qwen = made.config.cloud.backends
    assert (mine.url, mine.app_id, mine.voice, qwen.kind) == ("wss://here.example/v1", "a7", "echo", "qwen")
    for field, value in (("url", "wss://evil.example"), ("options", {"x": 1}), ("key", "home_key")):
        with pytest.raises(InputError) as caught:
            await made.set(key="cloud.backends", value=[{"name": "q", field: value}])
        assert caught.value.code == "config_key_fixed"
    await made.set(key="cloud.backends", value=[{"name": "mine", "kind": "qwen"}])
    assert made.config.cloud.backends[0].url == ""  # the address of another vendor's server is not taken along


async def test_what_the_box_cannot_live_by_is_taken_back(made: Made) -> None:
    await made.set(key="persona.name", value="Ann")
    made.fails = ConfigError("sentences_invalid", "no")
    with pytest.raises(ConfigError):
        await made.set(key="persona.name", value="Bob")
    assert made.config.persona.name == "Ann"
    assert made.reloads == 3


def test_flat_keeps_what_is_empty() -> None:
    assert dict(flat({"a": {"b": {}, "c": [1]}, "d": None})) == {"a.b": {}, "a.c": [1], "d": None}
