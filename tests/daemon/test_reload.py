"""A reload makes anew what has changed, and only that."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentbox.config import Config, Intents, Persona
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.settings import Loaded

TICK = "language: en\nintents:\n  {intent}:\n    data:\n      - sentences: ['tick tock']\n"


async def meant(core: Core) -> str | None:
    found = core._mind().understander.read("tick tock")
    return found.name if found is not None else None


async def test_sentences_that_are_the_same_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "tick.yaml").write_text(TICK.format(intent="HassGetCurrentTime"))
    config = Config(intents=Intents(sentences=[str(folder)]))

    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as core:

        async def kept(config: Config) -> bool:
            before = core._mind().understander
            await core.reload(Loaded(config, None, None, {}))
            return core._mind().understander is before

        assert await kept(msgspec.structs.replace(config, persona=Persona(name="Ada")))
        assert await kept(config)
        # Another sentence of the owner's, one more file, one less, the same under another name.
        (folder / "tick.yaml").write_text(TICK.format(intent="HassGetCurrentDate"))
        assert not await kept(config)
        assert await meant(core) == "HassGetCurrentDate"
        (folder / "a.yaml").write_text(TICK.format(intent="HassGetCurrentTime"))
        assert not await kept(config)
        assert await meant(core) == "HassGetCurrentTime"
        (folder / "a.yaml").rename(folder / "z.yaml")
        assert not await kept(config)
        assert await meant(core) == "HassGetCurrentDate"
        (folder / "tick.yaml").unlink()
        assert not await kept(config)
        assert await kept(config)
        # How they are read, and what the box can do.
        assert not await kept(msgspec.structs.replace(config, intents=Intents(sentences=[str(folder)], likeness=0.9)))
        assert not await kept(msgspec.structs.replace(config, intents=Intents(builtin=False)))
        # What cannot be read is looked at each time.
        missing = msgspec.structs.replace(config, intents=Intents(sentences=[str(tmp_path / "none.yaml")]))
        assert not await kept(missing)
        assert not await kept(missing)
