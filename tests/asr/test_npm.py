"""Models out of npm packages: a real npm, and a registry of its own on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import resource
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
from tests.asr.pulling import CLOSED_PORT, FILES, files_in, leftovers, model
from tests.asr.server import WebServer, serving

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


@needs_npm
def test_a_package_that_unpacks_to_more_than_the_model(registry: WebServer, tmp_path: Path) -> None:
    first, second = FILES
    publish(registry, {f"models/small/{first}": bytes(60_000_000), f"models/small/{second}": FILES[second]})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, hard))  # the disk's end
    try:
        error = failure(model(NPM), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.code == "model_hash_wrong"


@needs_npm
def test_files_that_the_model_has_in_a_folder(registry: WebServer, tmp_path: Path) -> None:
    publish(registry, {f"models/small/tokens/{name}": data for name, data in FILES.items()})
    plain = model(NPM)
    small = msgspec.structs.replace(plain, files={f"tokens/{name}": file for name, file in plain.files.items()})
    assert files_in(pull(small, tmp_path).folder / "tokens") == FILES


@needs_npm
def test_links_and_paths_that_lead_out_are_no_files(
    registry: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = FILES
    plain = tarfile.TarFile.addfile

    def as_a_link(archive: tarfile.TarFile, member: tarfile.TarInfo, data: Any = None) -> None:
        if member.name.endswith(second):
            member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
        plain(archive, member, data)

    monkeypatch.setattr(tarfile.TarFile, "addfile", as_a_link)
    publish(registry, {f"models/small/../../../../{first}": FILES[first], f"models/small/{second}": b""})
    monkeypatch.setattr(tarfile.TarFile, "addfile", plain)
    assert "does not hold the model" in failure(model(NPM), tmp_path / "models").what
    assert not list(tmp_path.glob(first))


def test_npm_gets_no_secrets_and_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(f"#!/bin/sh\nenv >{tmp_path}/given\necho 'npm error code ENOSPC' >&2\nexit 228\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("AGENTBOX_SECRET_OPENAI", "sesame")
    error = failure(model(NPM), tmp_path / "models")
    assert error.code == "model_fetch_failed"
    assert "could not be written: No space left" in error.what
    assert "sesame" not in (tmp_path / "given").read_text()


def test_a_machine_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    assert "no npm" in failure(model(NPM), tmp_path).what


@pytest.mark.parametrize("package", ["small", "small@", "@x/y", "a b@1", "small@1.0;ls", "--flag@1", "../x@1"])
def test_only_names_of_packages(package: str) -> None:
    entry: dict[str, Any] = {**NPM, "package": package}
    with pytest.raises(msgspec.ValidationError):
        model(entry)
