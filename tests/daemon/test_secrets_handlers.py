"""Secrets by page: set and deleted, listed with four signs at most, and told to nobody."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox.config import Backend, BrainConfig, CloudConfig, Config, Tools, WebRequest
from agentbox.credentials import SHORT, Credentials, masked
from agentbox.daemon.secrets_handlers import SecretsHandlers, referred
from agentbox.errors import ConfigError

CONFIG = Config(
    cloud=CloudConfig(backends=[Backend(name="openai", kind="openai"), Backend(name="q", kind="qwen", key="shared")]),
    brain=BrainConfig(kind="anthropic", key="shared"),
    tools=Tools(web=[WebRequest(name="door", url="https://door.example", headers={"Authorization": "{secret:door}"})]),
)
KEY = "sk-abcdefgh12345678"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def table(state: Path) -> Any:
    return SecretsHandlers(cast(Any, SimpleNamespace(config=CONFIG))).table()


def test_what_the_configuration_means() -> None:
    assert referred(CONFIG) == {
        "openai": ["cloud.backends: openai"],
        "shared": ["cloud.backends: q", "brain"],
        "door": ["tools.web: door"],
    }


async def test_set_listed_and_deleted(table: Any, state: Path) -> None:
    row = await table["secrets.set"]({"name": "openai", "value": f"  {KEY}\n"})
    assert row == {
        "name": "openai",
        "set": True,
        "source": "page",
        "shown": "••••5678",
        "used_by": ["cloud.backends: openai"],
        "problem": None,
    }
    file = state / "secrets" / "openai"
    assert file.read_text() == KEY
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    await table["secrets.set"]({"name": "spare", "value": "12345678"})
    rows = {row["name"]: row for row in await table["secrets.list"]({})}
    assert set(rows) == {"openai", "shared", "door", "spare"}
    assert rows["spare"]["shown"] == "••••"
    assert not rows["door"]["set"]
    assert KEY not in repr(rows)
    assert not (await table["secrets.delete"]({"name": "openai"}))["set"]
    assert not file.exists()


async def test_one_that_stands_elsewhere_says_so(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_SECRET_OPENAI", "from the environment")
    row = await table["secrets.set"]({"name": "openai", "value": KEY})
    assert (row["source"], row["shown"]) == ("environment", "••••ment")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "sk-abc", "a" * 65, "a\n", ".a.new"])
async def test_no_such_name(table: Any, state: Path, name: str) -> None:
    for method in ("secrets.set", "secrets.delete"):
        with pytest.raises(ConfigError) as caught:
            await table[method]({"name": name, "value": KEY})
        assert caught.value.code == "secret_name"
    assert not (state / "secrets").exists()


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "nul\0", "x" * 9000])
async def test_no_such_value(table: Any, state: Path, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await table["secrets.set"]({"name": "openai", "value": value})
    assert caught.value.code == "secret_value"
    assert value.strip() == "" or value not in str(caught.value)
    assert not (state / "secrets" / "openai").exists()


async def test_a_link_is_not_written_through(table: Any, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "secrets").mkdir()
    (state / "other").write_text("mine")
    os.symlink(state / "other", state / "secrets" / ".openai.1f.new")
    os.symlink(state / "other", state / "secrets" / "openai")
    await table["secrets.set"]({"name": "openai", "value": KEY})
    assert (state / "other").read_text() == "mine"
    monkeypatch.setattr(secrets, "token_hex", lambda _: "1f")  # nobody guesses it, and it would not help
    with pytest.raises(ConfigError) as caught:
        await table["secrets.set"]({"name": "openai", "value": KEY})
    assert caught.value.code == "secret_unwritable"
    assert (state / "other").read_text() == "mine"


async def test_a_disk_that_fails_tells_nothing(table: Any, state: Path) -> None:
    (state / "secrets").write_text("")
    with pytest.raises(ConfigError) as caught:
        await table["secrets.set"]({"name": "openai", "value": KEY})
    assert caught.value.code == "secret_unwritable"
    assert KEY not in repr(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=200))
def test_what_is_kept_is_found_and_little_of_it_shown(tmp_path: Path, value: str) -> None:
    credentials = Credentials(tmp_path, None, {})
    credentials.keep("shop", value)
    assert credentials.get("shop") == value
    shown = masked(value).removeprefix("••••")
    assert shown == (value[-4:] if len(value) > SHORT else "")
