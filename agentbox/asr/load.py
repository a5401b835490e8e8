"""From a model's name, or a folder of the owner's, to an engine that has shown that it works."""

from __future__ import annotations

from pathlib import Path

from agentbox.asr import moonshine
from agentbox.asr.catalogue import Catalogue, Model
from agentbox.asr.engine import Engine
from agentbox.asr.guards import DENSE_TOKENS_PER_SECOND, TOKENS_PER_SECOND
from agentbox.asr.pull import Progress, ensure
from agentbox.errors import ConfigError, ModelError

_DENSE = ("ar", "he", "hi", "ja", "ko", "th", "uk", "vi", "zh")
"""Languages whose text takes Moonshine more tokens; moonshine's docs/api/options.md says "many non-Latin"."""


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
        return _load_folder(Path(name_or_folder).expanduser(), language, threads)
    model = catalogue.get(name_or_folder)
    check_language(model, language, catalogue)
    folder = ensure(model, models_dir, fetch_missing=fetch_missing, progress=progress)
    engine = moonshine.Moonshine(
        folder,
        name=model.name,
        languages=model.languages,
        threads=threads,
        tokens_per_second=model.tokens_per_second,
    )
    engine.self_test(model.encoder_rms)
    return engine


def is_folder(name_or_folder: str) -> bool:
    """Whether `asr.model` is a path and not a name: it has a slash in it or begins with `~`."""
    return "/" in name_or_folder or name_or_folder.startswith("~")


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
    if not moonshine.is_model_folder(folder):
        raise ModelError(
            "model_missing",
            f"{folder} holds no model: encoder_model and decoder_model_merged (.ort or .onnx) and tokenizer.bin are "
            "needed.",
            "See docs/models.md.",
        )
    dense = language.split("-")[0].lower() in _DENSE
    engine = moonshine.Moonshine(
        folder,
        name=folder.name,
        threads=threads,
        tokens_per_second=DENSE_TOKENS_PER_SECOND if dense else TOKENS_PER_SECOND,
    )
    engine.self_test()
    return engine
