"""Caches: they give back what was put in, and nothing that does not fit; they never fail."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox import caches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def test_what_was_written_is_read_by_its_name_alone(tmp_path: Path) -> None:
    caches.write(tmp_path / "new", "prior", "abc", [((1, 2), {3: -0.5})])
    kept = caches.read(tmp_path / "new", "prior", "abc", list[tuple[tuple[int, ...], dict[int, float]]])
    assert kept == [((1, 2), {3: -0.5})]
    assert caches.read(tmp_path / "new", "prior", "abd", list[int]) is None
    assert caches.read(tmp_path / "new", "other", "abc", list[int]) is None
    [file] = (tmp_path / "new").iterdir()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_and_another_type_are_as_good_as_none(folder: Path) -> None:
    caches.write(folder, "prior", "abc", ["text"])
    assert caches.read(folder, "prior", "abc", list[int]) is None
    assert not list(folder.iterdir())
    (folder / "prior-abc.msgpack").write_bytes(b"\xc1half a file")
    assert caches.read(folder, "prior", "abc", list[str]) is None


@given(st.data())
def test_one_wrong_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        caches.write(folder, "grammar", "abc", [("a word", 1), ("another", 2)])
        [file] = folder.iterdir()
        content = bytearray(file.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        assert caches.read(folder, "grammar", "abc", list[tuple[str, int]]) is None
        assert not file.exists()


def test_what_is_read_is_not_the_oldest(folder: Path) -> None:
    for number in range(4):
        caches.write(folder, "grammar", f"{number}", [number])
        os.utime(folder / f"grammar-{number}.msgpack", (number, number))
    assert caches.read(folder, "grammar", "0", list[int]) == [0]
    caches.write(folder, "grammar", "4", [4])
    assert caches.read(folder, "grammar", "0", list[int]) == [0]
    assert caches.read(folder, "grammar", "1", list[int]) is None


def test_a_write_that_fails_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    caches.write(folder, "grammar", "abc", [1])
    assert not list(folder.iterdir())


def test_what_a_crash_left_half_written_goes_after_a_day(folder: Path) -> None:
    for name, age_s in (("old", 90_000), ("new", 60)):
        (folder / f".part-{name}").write_bytes(b"half")
        os.utime(folder / f".part-{name}", (time.time() - age_s, time.time() - age_s))
    caches.write(folder, "grammar", "abc", [1])
    assert sorted(path.name for path in folder.iterdir()) == [".part-new", "grammar-abc.msgpack"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    caches.write(tmp_path, "prior", "abc", [1])
    assert caches.read(tmp_path, "prior", "abc", list[int]) is None


def test_a_file_in_the_way_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    caches.write(tmp_path / "file" / "folder", "prior", "abc", [1])
    assert caches.read(tmp_path / "file" / "folder", "prior", "abc", list[int]) is None


def test_old_files_of_a_kind_go(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for number in range(8):
        caches.write(folder, "grammar", f"{number:032}", [number])
        os.utime(folder / f"grammar-{number:032}.msgpack", (number, number))
    caches.write(folder, "prior", "x", [0])
    names = sorted(path.name for path in folder.iterdir())
    assert names == [*(f"grammar-{number:032}.msgpack" for number in range(4, 8)), "prior-x.msgpack"]


def test_digests_tell_parts_apart() -> None:
    assert caches.digest("ab", "c") != caches.digest("a", "bc")
    assert caches.digest("ab") == caches.digest(b"ab")
