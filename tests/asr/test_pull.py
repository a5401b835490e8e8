"""Pulling from every kind of source: a real pip, a real web server that fails in many ways, real files."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from agentbox.asr import fetch
from agentbox.asr.catalogue import RECORD, Catalogue, Folder, Model, Record, Url, check
from agentbox.asr.pull import Step, ensure, folder_of, parse_source, pull
from agentbox.errors import AgentboxError, ModelError
from tests.asr.pulling import CLOSED_PORT, FILES, files_in, leftovers, model
from tests.asr.server import WebServer, serving


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        server.files = {f"/model/{name}": content for name, content in FILES.items()}
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries grow to seconds."""
    monkeypatch.setattr(fetch, "PAUSE_S", 0.0)


def url(server: WebServer, query: str = "") -> dict[str, Any]:
    return {"kind": "url", "url": server.url("/model") + query}


# A plain web address


def test_a_model_is_pulled_once(web: WebServer, tmp_path: Path) -> None:
    steps: list[Step] = []
    small = model(url(web))
    done = pull(small, tmp_path, progress=steps.append)
    assert files_in(done.folder) == FILES
    assert (done.folder, done.pinned, done.passed_over) == (tmp_path / "small", (), ())
    assert [step for step, _ in itertools.groupby(step.doing for step in steps)] == ["fetching", "checking", "done"]
    fetched = [step.done_bytes for step in steps if step.doing == "fetching"]
    assert fetched == sorted(fetched)
    assert fetched[-1] == small.bytes
    assert leftovers(tmp_path) == []
    asked = len(web.requests)
    assert pull(small, tmp_path).source == ""
    assert ensure(small, tmp_path) == done.folder
    assert len(web.requests) == asked


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(web: WebServer, tmp_path: Path) -> None:
    web.break_after = [300_000, 200_000]
    assert files_in(pull(model(url(web)), tmp_path).folder) == FILES
    assert [wanted for path, wanted in web.requests if path.endswith("encoder.bin")] == [
        None,
        "bytes=300000-",
        "bytes=500000-",
    ]


def test_the_next_pull_goes_on_where_this_one_gave_up(web: WebServer, tmp_path: Path) -> None:
    web.break_after = [1000] * fetch.TRIES
    with pytest.raises(ModelError, match="again and again") as failed:
        pull(model(url(web)), tmp_path)
    assert failed.value.code == "model_fetch_failed"
    assert not (tmp_path / "small").exists()
    web.requests.clear()
    assert files_in(pull(model(url(web)), tmp_path).folder) == FILES
    assert web.requests[0][1] == f"bytes={1000 * fetch.TRIES}-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(web: WebServer, tmp_path: Path) -> None:
    good = web.files["/model/encoder.bin"]
    web.files["/model/encoder.bin"] = bytes(len(good))
    web.break_after = [5000] * fetch.TRIES
    with pytest.raises(ModelError):
        pull(model(url(web)), tmp_path)
    web.files["/model/encoder.bin"] = good
    assert files_in(pull(model(url(web)), tmp_path).folder) == FILES


def test_without_a_tag_a_broken_transfer_begins_anew(web: WebServer, tmp_path: Path) -> None:
    web.etags = False
    web.break_after = [300_000]
    assert files_in(pull(model(url(web)), tmp_path).folder) == FILES
    assert [wanted for _, wanted in web.requests] == [None, None, None]


def test_a_server_that_stumbles_is_asked_again(web: WebServer, tmp_path: Path) -> None:
    web.statuses = [503, 500]
    assert files_in(pull(model(url(web)), tmp_path).folder) == FILES


def test_a_server_that_refuses_is_not(web: WebServer, tmp_path: Path) -> None:
    web.files.clear()
    with pytest.raises(ModelError, match="status 404"):
        pull(model(url(web)), tmp_path)
    assert len(web.requests) == 1


@pytest.mark.parametrize("wrong", [bytes(700_000), b"another size", b""])
def test_a_wrong_file_is_refused_and_nothing_of_it_kept(web: WebServer, tmp_path: Path, wrong: bytes) -> None:
    web.files["/model/encoder.bin"] = wrong
    with pytest.raises(ModelError) as refused:
        pull(model(url(web)), tmp_path)
    assert refused.value.code == "model_hash_wrong"
    assert not (tmp_path / "small").exists()
    assert leftovers(tmp_path) == []


def test_the_next_source_is_tried(web: WebServer, tmp_path: Path) -> None:
    sources = ({"kind": "url", "url": CLOSED_PORT}, {"kind": "folder", "path": str(tmp_path / "nothing")}, url(web))
    done = pull(model(*sources), tmp_path / "models")
    assert files_in(done.folder) == FILES
    assert [reason.rpartition(": ")[2] for reason in done.passed_over] == [
        "no connection",
        "it has no file encoder.bin",
    ]


def test_no_network_and_no_model(tmp_path: Path) -> None:
    small = model({"kind": "url", "url": CLOSED_PORT})
    for bring in (pull, ensure):
        with pytest.raises(ModelError) as failed:
            bring(small, tmp_path)
        assert failed.value.code == "model_fetch_failed"
        assert "not on this machine" in failed.value.what
        assert "no connection" in failed.value.what
        assert "agentbox models pull small" in failed.value.todo


def test_no_network_and_the_model_there(web: WebServer, tmp_path: Path) -> None:
    pull(model(url(web)), tmp_path)
    assert ensure(model({"kind": "url", "url": CLOSED_PORT}), tmp_path) == tmp_path / "small"


def test_without_leave_to_fetch_nothing_is_fetched(web: WebServer, tmp_path: Path) -> None:
    small = model(url(web))
    with pytest.raises(ModelError) as missing:
        ensure(small, tmp_path, fetch_missing=False)
    assert missing.value.code == "model_missing"
    assert web.requests == []
    (pull(small, tmp_path).folder / "tokens.bin").unlink()
    with pytest.raises(ModelError, match=r"tokens\.bin") as damaged:
        ensure(small, tmp_path, fetch_missing=False)
    assert damaged.value.code == "model_damaged"


def test_a_damaged_file_is_found_and_fetched_again(web: WebServer, tmp_path: Path) -> None:
    small = model(url(web))
    folder = pull(small, tmp_path).folder
    damaged = bytearray(FILES["encoder.bin"])
    damaged[1234] ^= 1
    (folder / "encoder.bin").write_bytes(damaged)
    with (folder / "encoder.bin").open("rb") as in_use:
        assert files_in(ensure(small, tmp_path)) == FILES
        assert in_use.read() == damaged  # who has the old file open keeps it
    assert leftovers(tmp_path) == []


def test_neither_address_nor_password_is_told(web: WebServer, tmp_path: Path) -> None:
    web.files.clear()
    sources = [
        {"kind": "url", "url": f"http://owner:hunter2@127.0.0.1:{web.port}/model?token=hunter2"},
        {"kind": "url", "url": "http://owner:hunter2@[::1]:9/?token=hunter2"},
        {"kind": "url", "url": "http://hunter2:99999999/"},
    ]
    with pytest.raises(ModelError) as failed:
        pull(model(*sources), tmp_path)
    assert "hunter2" not in str(failed.value)
    assert "127.0.0.1" not in str(failed.value)
    assert web.requests == [("/model/encoder.bin?token=hunter2", None)]


def test_a_full_disk_is_said(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ModelError, match="No space left") as failed:
        pull(model(url(web)), tmp_path)
    assert failed.value.code == "model_fetch_failed"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AgentboxError) as failed:
        pull(model({"kind": "url", "url": CLOSED_PORT}), tmp_path / "file" / "models")
    assert failed.value.code == "state_not_writable"


# A hub


def hub(server: WebServer, *, lfs: dict[str, bytes] | None = None) -> None:
    """Serve FILES as Hugging Face does: the large one in LFS, the small one in git."""
    small = FILES["tokens.bin"]
    blob = hashlib.sha1(b"blob %d\0" % len(small) + small).hexdigest()
    oid = hashlib.sha256((lfs or FILES)["encoder.bin"]).hexdigest()
    tree = [
        {"type": "file", "path": "a/encoder.bin", "oid": "0" * 40, "size": 1, "lfs": {"oid": oid, "size": 1}},
        {"type": "file", "path": "a/tokens.bin", "oid": blob, "size": len(small)},
        {"type": "directory", "path": "a/other", "oid": "1" * 40, "size": 0},
    ]
    server.files = {f"/org/repo/resolve/main/a/{name}": content for name, content in FILES.items()}
    server.files["/api/models/org/repo/tree/main/a"] = msgspec.json.encode(tree)


HUB = {"kind": "hub", "repo": "org/repo", "folder": "a"}


def test_a_hubs_digests_are_pinned_where_nobody_checked(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url())
    hub(web)
    small = model(HUB, hashed=False)
    done = pull(small, tmp_path)
    assert done.pinned == ("encoder.bin", "tokens.bin")
    record = msgspec.json.decode((done.folder / RECORD).read_bytes(), type=Record)
    assert record.source == "the hub repository org/repo"
    assert record.sha256 == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert check(small, done.folder) == []
    (done.folder / "tokens.bin").write_bytes(bytes(5000))
    assert [problem.file for problem in check(small, done.folder)] == ["tokens.bin"]
    (done.folder / RECORD).unlink()
    assert len(check(small, done.folder)) == 2


def test_files_in_a_folder_of_the_model(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url())
    monkeypatch.setattr(fetch, "TRIES", 1)
    hub(web)
    small = model({"kind": "hub", "repo": "org/repo"}, hashed=False)
    small = msgspec.structs.replace(small, files={f"a/{name}": file for name, file in small.files.items()})
    web.files["/api/models/org/repo/tree/main"] = web.files.pop("/api/models/org/repo/tree/main/a")
    web.break_after = [10**6, 300_000]
    with pytest.raises(ModelError):
        pull(small, tmp_path)
    assert leftovers(tmp_path) == ["encoder.bin.part", "encoder.bin.part.etag"]
    done = pull(small, tmp_path)
    assert files_in(done.folder / "a") == FILES
    assert done.pinned == ("a/encoder.bin", "a/tokens.bin")
    assert check(small, done.folder) == []
    assert web.requests[0][0].endswith("?recursive=true")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["encoder.bin", "tokens.bin"])
def test_a_file_that_is_not_what_its_hub_says_is_refused(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url())
    hub(web)
    web.files[f"/org/repo/resolve/main/a/{name}"] = bytes(len(FILES[name]))
    with pytest.raises(ModelError) as refused:
        pull(model(HUB, hashed=False), tmp_path)
    assert refused.value.code == "model_hash_wrong"
    assert leftovers(tmp_path) == []


def test_the_catalogues_hash_stands_above_the_hubs(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url())
    changed = {**FILES, "encoder.bin": bytes(700_000)}
    hub(web, lfs=changed)
    web.files["/org/repo/resolve/main/a/encoder.bin"] = changed["encoder.bin"]
    with pytest.raises(ModelError) as refused:
        pull(model(HUB), tmp_path)
    assert refused.value.code == "model_hash_wrong"


@pytest.mark.parametrize("answer", [b"<html>", b"[]", None])
def test_a_hub_that_answers_rubbish(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url())
    hub(web)
    if answer is None:
        web.files.clear()
    else:
        web.files["/api/models/org/repo/tree/main/a"] = answer
    with pytest.raises(ModelError):
        pull(model(HUB, hashed=False), tmp_path)
    assert not (tmp_path / "small").exists()


def test_a_bare_web_address_vouches_for_nothing(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        pull(model(url(web), hashed=False), tmp_path)
    assert refused.value.code == "model_hash_wrong"


# A folder, and several programs at once


def test_a_folder_of_the_owners(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    for name, content in FILES.items():
        (stick / name).write_bytes(content)
    source = parse_source(str(stick))
    assert isinstance(source, Folder)
    assert isinstance(parse_source("https://example.com/model"), Url)
    done = pull(model({"kind": "url", "url": CLOSED_PORT}, hashed=False), tmp_path / "models", sources=[source])
    assert files_in(done.folder) == FILES
    assert done.pinned == ("encoder.bin", "tokens.bin")


def pull_in_process(small: bytes, models: Path) -> str:
    return pull(msgspec.json.decode(small, type=Model), models).source


def test_two_programs_pull_at_once_and_fetch_once(web: WebServer, tmp_path: Path) -> None:
    small = msgspec.json.encode(model(url(web)))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sources = pool.starmap(pull_in_process, [(small, tmp_path)] * 2)
        pool.close()
        pool.join()
    assert sorted(sources) == ["", "its web address"]
    assert len(web.requests) == len(FILES)
    assert files_in(tmp_path / "small") == FILES


def test_the_real_default_model_is_whole(models_dir: Path) -> None:
    tiny = Catalogue.load().get("moonshine-tiny-en")
    assert check(tiny, folder_of(tiny, models_dir)) == []


# One file


def test_a_download_is_counted(web: WebServer, tmp_path: Path) -> None:
    seen: list[int] = []
    with httpx.Client() as client:
        fetch.download(client, httpx.URL(web.url("/model/tokens.bin")), tmp_path / "tokens.bin", 5000, seen.append)
    assert seen[-1] == 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokens.bin"]
