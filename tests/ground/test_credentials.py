"""Secrets: where they are looked for, who may read them, and that no error ever holds one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox.credentials import Credentials
from agentbox.errors import ConfigError

SECRET = "hunter2"


def private(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def error_of(credentials: Credentials, name: str = "shop") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        credentials.get(name)
    told: BaseException | None = caught.value
    while told is not None:
        assert SECRET not in str(told), "an error, or what caused it, tells the secret"
        told = told.__cause__
    return caught.value


def test_the_order_of_the_sources(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    file = tmp_path / "secrets.yaml"
    credentials = Credentials(tmp_path / "secrets", file, environ)
    assert credentials.find("shop") is None
    private(file, "shop: from the owner's file\n")
    assert credentials.get("shop") == "from the owner's file"
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path / "systemd")
    assert credentials.get("shop") == "from the owner's file"
    private(tmp_path / "systemd" / "shop", "from systemd\n", 0o440)
    assert credentials.get("shop") == "from systemd"
    private(tmp_path / "secrets" / "shop", "from the page\n")
    assert credentials.get("shop") == "from the page"
    environ["AGENTBOX_SECRET_SHOP"] = "from the environment"
    assert credentials.get("shop") == "from the environment"


def test_a_secret_is_read_anew_each_time(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path, None, {})
    path = private(tmp_path / "shop", "one")
    assert credentials.get("shop") == "one"
    private(path, "two")
    assert credentials.get("shop") == "two"
    path.unlink()
    assert credentials.find("shop") is None


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_SECRET_SHOP", SECRET)
    assert Credentials(tmp_path).get("shop") == SECRET


def test_a_missing_secret_says_how_to_set_it(tmp_path: Path) -> None:
    error = error_of(Credentials(tmp_path / "none", tmp_path / "none.yaml", {"CREDENTIALS_DIRECTORY": "/nowhere"}))
    assert error.code == "secret_missing"
    assert "AGENTBOX_SECRET_SHOP" in error.todo


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    private(tmp_path / "shop", "\n")
    private(tmp_path / "systemd" / "shop", "")
    file = private(tmp_path / "secrets.yaml", "shop:\nbank: ''\n")
    environ = {"AGENTBOX_SECRET_SHOP": "", "CREDENTIALS_DIRECTORY": str(tmp_path / "systemd")}
    credentials = Credentials(tmp_path, file, environ)
    assert credentials.find("shop") is None
    assert credentials.find("bank") is None


@pytest.mark.parametrize("name", ["", "Shop", "../shop", "shop\n", "a/b", "a.b", "1a", "é", "x" * 65, "secret:shop"])
def test_names_that_cannot_be_a_secrets(tmp_path: Path, name: str) -> None:
    private(tmp_path / "shop", SECRET)
    assert error_of(Credentials(tmp_path / "secrets", None, {}), name).code == "secret_name"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_files_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    page = private(tmp_path / "secrets" / "shop", SECRET, mode)
    error = error_of(Credentials(tmp_path / "secrets", None, {}))
    assert error.code == "secret_readable_by_others"
    assert f"chmod 600 {page}" in error.todo
    file = private(tmp_path / "secrets.yaml", f"shop: {SECRET}\n", mode)
    assert error_of(Credentials(tmp_path / "none", file, {})).code == "secret_readable_by_others"


def test_the_owners_file_holds_text_whatever_it_looks_like(tmp_path: Path) -> None:
    file = private(
        tmp_path / "secrets.yaml",
        "pin: 0123\nbig: 1_000\nswitch: on\nday: 2026-01-01\nempty: null\nfloat: 1e5\n"
        "quoted: ' a b '\nlong: |\n  a\n  b\n",
    )
    credentials = Credentials(tmp_path, file, {})
    values = {
        name: credentials.get(name) for name in ("pin", "big", "switch", "day", "empty", "float", "quoted", "long")
    }
    assert values == {
        "pin": "0123",
        "big": "1_000",
        "switch": "on",
        "day": "2026-01-01",
        "empty": "null",
        "float": "1e5",
        "quoted": " a b ",
        "long": "a\nb\n",
    }


@pytest.mark.parametrize(
    "content",
    [
        f"shop: [{SECRET}\n",
        f"shop: {SECRET}: {SECRET}\n",
        f"- {SECRET}\n",
        f"{SECRET}\n",
        f"shop: {{inner: {SECRET}}}\n",
        f"shop: [{SECRET}]\n",
        f"shop: !!int {SECRET}\n\x01",
        f"shop: *{SECRET}\n",
        "shop: " + "[" * 5000,
    ],
)
def test_a_broken_file_is_told_without_its_content(tmp_path: Path, content: str | bytes) -> None:
    file = private(tmp_path / "secrets.yaml", content)
    error = error_of(Credentials(tmp_path / "none", file, {}))
    assert error.code == "secrets_file_invalid"
    assert str(file) in error.what


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "shop").mkdir(parents=True, mode=0o700)
    assert error_of(Credentials(tmp_path / "secrets", None, {})).code == "secret_unreadable"
    private(tmp_path / "page" / "shop", SECRET.encode() + b"\xff")
    assert error_of(Credentials(tmp_path / "page", None, {})).code == "secret_unreadable"
    private(tmp_path / "systemd" / "shop", b"\xff" + SECRET.encode())
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "systemd")}
    assert error_of(Credentials(tmp_path / "none", None, environ)).code == "secret_unreadable"
    file = private(tmp_path / "secrets.yaml", f"shop: {SECRET} \xff".encode("latin1"))
    assert error_of(Credentials(tmp_path / "none", file, {})).code == "secret_unreadable"
    (tmp_path / "a-file").write_text("")
    assert error_of(Credentials(tmp_path / "a-file", None, {})).code == "secret_unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_this_user_may_not_read(tmp_path: Path) -> None:
    private(tmp_path / "shop", SECRET, 0o000)
    assert error_of(Credentials(tmp_path, None, {})).code == "secret_unreadable"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    value=st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1),
)
def test_any_value_comes_back_as_it_was_put(tmp_path: Path, name: str, value: str) -> None:
    folder = tmp_path / "any"
    file = private(folder / name, value)
    environ: Mapping[str, str] = {}
    assert Credentials(folder, None, environ).get(name) == value
    file.unlink()
