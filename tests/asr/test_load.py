from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from agentbox.asr.catalogue import Catalogue, Folder
from agentbox.asr.load import FAMILIES, family_of, is_folder, load_engine
from agentbox.errors import ConfigError, ModelError

NAME = "moonshine-tiny-en"


@pytest.fixture
def own(models_dir: Path, tmp_path: Path) -> Path:
    """The default model's files in a folder of the owner's."""
    return Path(shutil.copytree(models_dir / NAME, tmp_path / "own"))


def offline(models_dir: Path) -> Catalogue:
    """The catalogue, with a folder as the default model's only source."""
    model = Catalogue.load().get(NAME)
    stick = Folder(path=str(models_dir / NAME))
    return Catalogue({**Catalogue.load().models, NAME: msgspec.structs.replace(model, sources=[stick])})


def test_a_model_of_the_catalogue(models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> None:
    engine = load_engine(NAME, "en-GB", models_dir, threads=2, fetch_missing=False)
    assert engine.name == NAME
    assert engine.capabilities.languages == ("en",)
    assert engine.transcribe(recordings["beckett"][:48_000], language="en-GB").text.startswith("Ever tried")


@pytest.mark.parametrize(("language", "named"), [("zh-CN", "moonshine-base-zh"), ("tlh", "use your own")])
def test_a_language_that_the_model_lacks(models_dir: Path, language: str, named: str) -> None:
    with pytest.raises(ConfigError, match=language) as refused:
        load_engine(NAME, language, models_dir)
    assert refused.value.code == "model_language"
    assert named in refused.value.todo


@pytest.mark.parametrize("name", ["whisper", "silero-vad-16k"])
def test_what_is_no_speech_model(models_dir: Path, name: str) -> None:
    with pytest.raises(ModelError) as refused:
        load_engine(name, "en", models_dir)
    assert refused.value.code == "model_unknown"


def test_a_missing_model_is_fetched_only_with_leave(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as missing:
        load_engine(NAME, "en", tmp_path, fetch_missing=False, catalogue=offline(models_dir))
    assert missing.value.code == "model_missing"
    assert list(tmp_path.iterdir()) == []
    assert load_engine(NAME, "en", tmp_path, catalogue=offline(models_dir)).name == NAME


def test_a_damaged_model_is_named_or_mended(models_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models_dir / NAME, tmp_path / NAME))
    with (folder / "decoder_model_merged.ort").open("r+b") as file:
        file.seek(20_000_000)
        file.write(b"damage")
    os.truncate(folder / "encoder_model.ort", 1_000_000)
    with pytest.raises(ModelError) as damaged:
        load_engine(NAME, "en", tmp_path, fetch_missing=False)
    assert damaged.value.code == "model_damaged"
    assert "encoder_model.ort, decoder_model_merged.ort" in damaged.value.what
    assert load_engine(NAME, "en", tmp_path, catalogue=offline(models_dir)).name == NAME


def test_a_folder_of_the_owners(own: Path, models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> None:
    engine = load_engine(str(own), "en", models_dir)
    assert engine.name == "own"
    assert engine.capabilities.speaks("en")
    assert engine.transcribe(recordings["beckett"][:48_000], language="en").text.startswith("Ever tried")


def test_a_folder_that_is_not_there_or_holds_no_model(tmp_path: Path, own: Path) -> None:
    (own / "tokenizer.bin").unlink()
    for folder in (tmp_path / "nothing", tmp_path, own):
        with pytest.raises(ModelError) as missing:
            load_engine(str(folder), "en", tmp_path)
        assert missing.value.code == "model_missing"


@pytest.mark.parametrize("name", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, -100])
def test_a_truncated_file_of_the_owners_is_an_error_not_a_crash(own: Path, name: str, keep: float) -> None:
    size = (own / name).stat().st_size
    os.truncate(own / name, int(size * keep) if 0 < keep < 1 else int(keep) % size)
    with pytest.raises(ModelError) as damaged:
        load_engine(str(own), "en", own)
    assert damaged.value.code == "model_damaged"


def test_a_file_that_is_something_else(own: Path) -> None:
    for name in ("encoder_model.ort", "decoder_model_merged.ort"):
        good = (own / name).read_bytes()
        (own / name).write_bytes(random.Random(0).randbytes(100_000))
        with pytest.raises(ModelError) as damaged:
            load_engine(str(own), "en", own)
        assert damaged.value.code == "model_damaged"
        (own / name).write_bytes(good)
    (own / "encoder_model.ort").rename(own / "encoder_model.onnx")
    with pytest.raises(ModelError):
        load_engine(str(own), "en", own)


def test_what_counts_as_a_path() -> None:
    assert [is_folder(text) for text in (NAME, "./model", "/srv/model", "~/model", "a/b")] == [False, *[True] * 4]


def test_the_default_model_alone_does_not_bring_the_other_families_into_memory(models_dir: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from agentbox.asr.load import load_engine
load_engine({NAME!r}, "en", Path({str(models_dir)!r}), fetch_missing=False)
import agentbox.cli.run
print(*(name for name in sys.modules if name.startswith("agentbox.asr.")))
assert "httpx" not in sys.modules, "a box with its model that talks to nobody"
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.removeprefix("agentbox.asr.") for name in ran.stdout.split()}
    assert loaded & set(FAMILIES.values()) == {"moonshine"}


def test_every_family_of_the_catalogue_can_be_asked_for_its_files(tmp_path: Path) -> None:
    families = {model.family for model in Catalogue.load().models.values() if model.kind == "speech"}
    assert families <= set(FAMILIES)
    assert not any(family_of(name).is_model_folder(tmp_path) for name in FAMILIES)
