"""From a model's name, or a folder of the owner's, to an engine that has shown that it works."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from agentbox.asr.catalogue import Catalogue, Model
from agentbox.asr.engine import Engine, Opening
from agentbox.asr.pull import Progress, ensure
from agentbox.errors import ConfigError, ModelError


class Family(Protocol):
    """Models of one kind: a module that knows their files."""

    NEEDED: str
    """The files that such a folder has, in words."""

    def is_model_folder(self, folder: Path) -> bool: ...

    def open_model(self, folder: Path, opening: Opening) -> Engine:
        """Loaded, and past its self-test. Raises `ModelError` `model_damaged`."""
        ...


FAMILIES = {
    "moonshine": "moonshine",
    "moonshine-streaming": "moonshine_streaming",
    "zipformer": "zipformer",
    "sense-voice": "sense_voice",
    "nano-ctc": "nano_ctc",
    "fun-asr-nano": "nano",
    "paraformer": "paraformer",
    "whisper": "whisper",
}
"""Modules by the catalogue's name for their family. A folder of the owner's is the first one's that knows its files."""

if TYPE_CHECKING:  # that they all are a `Family`
    from agentbox.asr import moonshine, moonshine_streaming, nano, nano_ctc, paraformer, sense_voice, whisper, zipformer

    _checked: tuple[Family, ...] = (moonshine, moonshine_streaming, zipformer, sense_voice)
    _checked += (nano_ctc, nano, paraformer, whisper)


def family_of(name: str) -> Family:
    """Imported when it is asked for: all of them take a tenth of a second and 2 MB, and a box has one model."""
    return cast("Family", import_module(f"agentbox.asr.{FAMILIES[name]}"))


def load_engine(
    name_or_folder: str,
    language: str,
    models_dir: Path,
    threads: int = 1,
    *,
    fetch_missing: bool = True,
    progress: Progress | None = None,
    catalogue: Catalogue | None = None,
) -> Engine:
    """The speech engine of the configuration: `asr.model` is a name in the catalogue or the path of a folder.

    A catalogue model's files are checked byte by byte first, since onnxruntime need not survive a damaged one; what is
    missing or damaged is fetched, unless `fetch_missing` is false. Takes half a second; blocks.

    Raises `ConfigError` `model_language`; `ModelError`: `model_unknown`, `model_missing`, `model_damaged`,
    `model_fetch_failed`, `model_hash_wrong`.
    """
    catalogue = catalogue or Catalogue.load()
    if is_folder(name_or_folder):
        return _load_folder(Path(os.path.expanduser(name_or_folder)), language, threads)
    model = catalogue.get(name_or_folder)
    check_language(model, language, catalogue)
    folder = ensure(model, models_dir, fetch_missing=fetch_missing, progress=progress)
    opening = Opening(
        name=model.name,
        languages=tuple(model.languages),
        language=language,
        threads=threads,
        tokens_per_second=model.tokens_per_second,
        encoder_rms=model.encoder_rms,
    )
    return family_of(model.family).open_model(folder, opening)


def is_folder(name_or_folder: str) -> bool:
    """Whether `asr.model` is a path and not a name: it has a slash in it or begins with `~`."""
    return "/" in name_or_folder or name_or_folder.startswith("~")


def whole_path(name_or_folder: str) -> str:
    """A folder as the configuration has it, whose paths are whole; a name as it is."""
    return os.path.abspath(os.path.expanduser(name_or_folder)) if is_folder(name_or_folder) else name_or_folder


def check_language(model: Model, language: str, catalogue: Catalogue) -> None:
    """Raises `ConfigError` `model_language` when `model` does not know `language`, naming the models that do, and
    `ModelError` `model_unknown` when it is no model for speech."""
    if model.kind != "speech":
        raise ModelError(
            "model_unknown", f"The model {model.name} does not write down speech.", "Run: agentbox models list"
        )
    if model.speaks(language):
        return
    others = catalogue.speaking(language)
    todo = f"Set asr.model to {' or '.join(others)}" if others else "No model in the catalogue knows it: use your own"
    raise ConfigError(
        "model_language",
        f"The model {model.name} does not know the language {language}; it knows {', '.join(model.languages)}.",
        f"{todo}, or set asr.language to {model.languages[0]}.",
    )


def _load_folder(folder: Path, language: str, threads: int) -> Engine:
    """A model of the owner's: nobody knows its hashes, so the self-test is all there is."""
    if not folder.is_dir():
        raise ModelError("model_missing", f"There is no folder {folder}.", "Check asr.model.")
    families = list(map(family_of, FAMILIES))
    family = next((family for family in families if family.is_model_folder(folder)), None)
    if family is None:
        needed = "; or ".join(family.NEEDED for family in families)
        raise ModelError("model_missing", f"{folder} holds no model. Needed are {needed}.", "See docs/models.md.")
    return family.open_model(folder, Opening(name=folder.name, language=language, threads=threads))
