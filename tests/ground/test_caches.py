"""Caches: they give back what was put in, and nothing that does not fit; they never fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentbox import caches


def test_what_was_written_is_read_by_its_name_alone(tmp_path: Path) -> None:
    caches.write(tmp_path / "new", "prior", "abc", [((1, 2), {3: -0.5})])
    kept = caches.read(tmp_path / "new", "prior", "abc", list[tuple[tuple[int, ...], dict[int, float]]])
    assert kept == [((1, 2), {3: -0.5})]
    assert caches.read(tmp_path / "new", "prior", "abd", list[int]) is None
    assert caches.read(tmp_path / "new", "other", "abc", list[int]) is None
    [file] = (tmp_path / "new").iterdir()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_and_another_type_are_as_good_as_none(tmp_path: Path) -> None:
    caches.write(tmp_path, "prior", "abc", ["text"])
    assert caches.read(tmp_path, "prior", "abc", list[int]) is None
    (tmp_path / "prior-abc.msgpack").write_bytes(b"\xc1half a file")
    assert caches.read(tmp_path, "prior", "abc", list[str]) is None


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
