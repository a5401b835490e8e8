"""The owner's files of sentences: found by name, read, checked as if a text were in them, and replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox.config import Config, Intents
from agentbox.daemon import sentence_files
from agentbox.daemon.mind import load_tools, sentence_paths
from agentbox.errors import AgentboxError, InputError

TEA = "language: en\nintents: {HassStartTimer: {data: [{sentences: [tea time], slots: {minutes: 4}}]}}\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path / "state"))
    return tmp_path


def configured(*files: Path) -> Config:
    return Config(intents=Intents(sentences=[str(file) for file in files]))


def test_the_files_of_the_configuration_and_the_pages_own(state: Path) -> None:
    (state / "more").mkdir()
    for name in ("a.yaml", "more/b.yml", "more/a.yaml", "more/no.txt"):
        (state / name).write_text(TEA)
    config = configured(state / "a.yaml", state / "more")
    ids = [file.id for file in sentence_files.files(config)]
    assert ids == ["a.yaml", "a.yaml~2", "b.yml", "page.yaml"]
    assert sentence_paths(config) == [state / "a.yaml", state / "more"]
    page = sentence_files.find(config, "page.yaml")
    assert page.is_page
    sentence_files.write(page, TEA, sentence_files.version(""))
    assert sentence_paths(config) == [state / "a.yaml", state / "more", page.path]
    assert [file.id for file in sentence_files.files(configured(page.path))] == ["page.yaml"]
    assert sentence_paths(configured(page.path.parent)) == [page.path.parent]


@pytest.mark.parametrize("file", ["", "..", "../a.yaml", "/etc/passwd", "a.yaml~1", "A.YAML"])
def test_nothing_else_is_found(state: Path, file: str) -> None:
    (state / "a.yaml").write_text(TEA)
    with pytest.raises(InputError) as caught:
        sentence_files.find(configured(state / "a.yaml"), file)
    assert caught.value.code == "sentences_unknown"


def test_a_link_stays_one_and_the_mode_as_it_was(state: Path) -> None:
    real = state / "real.yaml"
    real.write_text("language: en\n")
    real.chmod(0o640)
    (state / "link.yaml").symlink_to(real)
    file = sentence_files.find(configured(state / "link.yaml"), "link.yaml")
    sentence_files.write(file, TEA, sentence_files.version("language: en\n"))
    assert (state / "link.yaml").is_symlink()
    assert real.read_text() == TEA
    assert real.stat().st_mode & 0o777 == 0o640
    assert (state / "real.yaml.bak").read_text() == "language: en\n"
    assert (state / "real.yaml.bak").stat().st_mode & 0o777 == 0o640


def test_another_version_is_not_written_over(state: Path) -> None:
    (state / "a.yaml").write_text(TEA)
    file = sentence_files.find(configured(state / "a.yaml"), "a.yaml")
    with pytest.raises(InputError) as caught:
        sentence_files.write(file, "intents: {}\n", sentence_files.version("something else"))
    assert caught.value.code == "sentences_changed"
    assert (state / "a.yaml").read_text() == TEA


def test_a_disk_that_fails_leaves_the_file_as_it_was(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "a.yaml").write_text(TEA)
    file = sentence_files.find(configured(state / "a.yaml"), "a.yaml")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError) as caught:
        sentence_files.write(file, "intents: {}\n", sentence_files.version(TEA))
    assert caught.value.code == "sentences_unwritable"
    assert "No space left" in caught.value.what
    assert (state / "a.yaml").read_text() == TEA
    assert [path.name for path in state.iterdir() if path.is_file()] == ["a.yaml"]


@pytest.mark.parametrize(
    ("data", "code"), [(b"\xff\xfe", "sentences_not_text"), (b"#" * (257 << 10), "sentences_too_long")]
)
def test_what_is_no_text_is_not_shown(state: Path, data: bytes, code: str) -> None:
    (state / "a.yaml").write_bytes(data)
    with pytest.raises(InputError) as caught:
        sentence_files.read(sentence_files.find(configured(state / "a.yaml"), "a.yaml"))
    assert caught.value.code == code


def test_a_text_is_checked_beside_the_other_files(state: Path) -> None:
    (state / "a.yaml").write_text(TEA)
    config = configured(state / "a.yaml")
    page = sentence_files.find(config, "page.yaml")
    registry = load_tools(config)
    other = TEA.replace("HassStartTimer", "HassCancelTimer").replace(", slots: {minutes: 4}", "")
    found = sentence_files.findings_in(config, registry, page, other)
    assert [one.notice.code for one in found] == ["sentences_unreachable"]
    assert not page.path.exists()
    assert not sentence_files.findings_in(config, registry, sentence_files.find(config, "a.yaml"), TEA)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.text(alphabet="[]{}()<>|;: \n-'\"abAB01&*!%", max_size=80))
def test_any_text_is_told_of_and_nothing_breaks(state: Path, text: str) -> None:
    config = Config(intents=Intents(builtin=False))
    page = sentence_files.find(config, "page.yaml")
    try:
        found = sentence_files.findings_in(config, load_tools(config), page, text)
    except AgentboxError as error:
        raise AssertionError(error.code) from error
    assert all(one.line >= 1 for one in found)


def test_a_file_that_cannot_be_replaced_is_not_writable(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "a.yaml").write_text(TEA)
    file = sentence_files.find(configured(state / "a.yaml"), "a.yaml")
    assert file.is_writable
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert not file.is_writable
    assert sentence_files.find(configured(), "page.yaml").is_writable
