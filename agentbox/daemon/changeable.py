"""Which settings the page may change, and why those and no others.

The page changes what an owner would say or choose: how the box is called, how it listens and speaks, whom it may ask,
what it keeps. It never changes paths, programs, addresses to connect to, plugin folders, or how the page itself is
reached: a stolen phone must not be able to run anything, to read another file, or to send words to a place that
the owner did not choose, and a wrong choice must not lock its owner out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agentbox.asr.catalogue import Catalogue, Model
from agentbox.asr.load import check_language, is_folder
from agentbox.config import Backend, Config
from agentbox.errors import InputError, ModelError
from agentbox.messages import JSON
from agentbox.paths import models_dir


class Changeable(NamedTuple):
    """A key that the page may set."""

    why: str
    restart: bool = False
    """It counts from the next start on, where it does not count already."""


CHANGEABLE: dict[str, Changeable] = {
    "persona.name": Changeable("how the box calls itself"),
    "persona.manner": Changeable("how it talks"),
    "asr.language": Changeable("the language of hearing and speaking; together with a model that knows it", True),
    "asr.model": Changeable("a model of the catalogue, by its name; a folder stays with who has a shell", True),
    "asr.second_model": Changeable("a second one that reads what the first is not sure of; again by its name"),
    "asr.second_below": Changeable("how sure the first must be"),
    "asr.second_within_s": Changeable("how long an answer waits for the second"),
    "asr.hotwords": Changeable("names and terms to listen for; the path of a file stays with who has a shell"),
    "activation.mode": Changeable("when what is heard is for the box"),
    "activation.phrases": Changeable("the wake phrases"),
    "activation.sensitivity": Changeable("how readily a wake phrase is taken for one"),
    "activation.listen_after": Changeable("when it goes on to listen"),
    "activation.feedback": Changeable("the sign that it listens"),
    "audio.input_device": Changeable("the microphone"),
    "audio.output_device": Changeable("the speaker"),
    "audio.sounds": Changeable("the short sounds"),
    "speech.verbosity": Changeable("how much it says"),
    "speech.voice": Changeable("which of the installed voices; the path of a Piper voice stays with who has a shell"),
    "speech.pace": Changeable("how fast it speaks"),
    "speech.quiet_hours": Changeable("when it is silent"),
    "cloud.policy": Changeable("whether anything may leave the box"),
    "cloud.use": Changeable("which backend is asked first"),
    "cloud.backends": Changeable("by kind, model, voice and account; not their url and options (`BACKEND_FIELDS`)"),
    "cloud.quiet_hours": Changeable("when nothing leaves the box"),
    "cloud.minutes_per_day": Changeable("what it may cost"),
    "cloud.money_per_day": Changeable("what it may cost"),
    "storage.retention_days": Changeable("how long what was said is kept", True),
    "storage.transcripts": Changeable("whether it is kept at all", True),
    "storage.audio": Changeable("whether its sound is kept", True),
    "tools.policy": Changeable("who may have the box do what; tools themselves stay with who has a shell"),
    "page.name": Changeable("the box's name in the local network"),
    "page.guests_read": Changeable("whether guests may read what was said"),
}

BACKEND_FIELDS = ("name", "kind", "model", "voice", "app_id", "workspace")
"""Of a backend, what the page may set. Its secret is called as it is itself: no other can be sent to a vendor."""


def merged(key: str, value: JSON, config: Config) -> JSON:
    """The value as it is written down: of a backend that was there already, what is not given stays as it is.

    Raises `InputError`: `config_key_fixed`, `config_value`.
    """
    if key not in CHANGEABLE:
        raise InputError(
            "config_key_fixed", f"{key} cannot be changed from here.", "Change it in the configuration file."
        )
    if key != "cloud.backends":
        return value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError("config_value", "cloud.backends must be a list of objects.", "See docs/control.md.")
    known = {backend.name: _without_defaults(backend) for backend in config.cloud.backends}
    return [_backend(one, known) for one in value]


def _backend(given: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    before = known.get(str(given.get("name")), {})
    for name, value in given.items():
        if name not in BACKEND_FIELDS and value != before.get(name):
            raise InputError(
                "config_key_fixed",
                f"{name} of a backend cannot be changed from here.",
                "Change it in the configuration file.",
            )
    if before and given.get("kind", before["kind"]) != before["kind"]:
        # What was set for one vendor is not sent to another.
        before = {}
    return before | given


def _without_defaults(backend: Backend) -> dict[str, Any]:
    defaults = msgspec.to_builtins(Backend(name=backend.name, kind=backend.kind))
    values = msgspec.to_builtins(backend)
    return {name: value for name, value in values.items() if name in ("name", "kind") or value != defaults[name]}


def check(config: Config, before: Config) -> None:
    """What would keep the box from its next start, and no check of the file can know. Raises `ConfigError` and
    `ModelError` as `check_language`, `InputError` `config_value`."""
    asr, former = config.asr, before.asr
    if asr.model != former.model and is_folder(asr.model):
        raise InputError("config_value", "asr.model must be a name.", "Run: agentbox models list")
    if (asr.model, asr.language) != (former.model, former.language) and not is_folder(asr.model):
        _check_model(asr.model, config)
    if asr.second_model is not None and asr.second_model != former.second_model:
        if is_folder(asr.second_model):
            raise InputError("config_value", "asr.second_model must be a name.", "Run: agentbox models list")
        _check_model(asr.second_model, config)


def _check_model(name: str, config: Config) -> None:
    catalogue = Catalogue.load()
    model = catalogue.get(name)
    check_language(model, config.language, catalogue)
    if not is_installed(model, models_dir(config)):
        # The first would be fetched at the next start, which a box without internet does not survive; the second never.
        raise ModelError(
            "model_missing", f"The model {model.name} is not on this box.", f"Run: agentbox models pull {model.name}"
        )


def is_installed(model: Model, folder: Path) -> bool:
    """Whether a model's files are there, by their sizes: reading them all takes seconds."""
    return all(_size(folder / model.name / name) == file.bytes for name, file in model.files.items())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def flat(values: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its dotted key; a list, or an empty mapping, is one value."""
    for key, value in values.items():
        name = f"{head}.{key}" if head else key
        if isinstance(value, dict) and value:
            yield from flat(value, name)
        else:
            yield name, value


def source_of(key: str, sources: Mapping[str, str]) -> str | None:
    """The file that set a value, or something around it: a list or an empty mapping is set as a whole."""
    while key:
        if key in sources:
            return sources[key]
        key = key.rpartition(".")[0]
    return None
