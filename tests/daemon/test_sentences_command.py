"""`agentbox sentences check`, with the configuration and the model that it looks at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentbox.cli import main
from agentbox.errors import ExitCode

CLEAN = 'intents: {HassStartTimer: {data: [{sentences: ["start the egg"], slots: {minutes: 6}}]}}\n'
UNCLEAN = """intents:
  HassStartTimer:
    data:
      - sentences: ["start the egg"]
        slots: {minutes: 6}
      - sentences: ["start the [boiled] egg", "start 猫"]
        slots: {minutes: 8}
"""


@pytest.fixture
def folder(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path / "state"))
    (tmp_path / "config.yaml").write_text(f"asr: {{models_dir: {models_dir}}}\nintents: {{sentences: [clean.yaml]}}\n")
    (tmp_path / "clean.yaml").write_text(CLEAN)
    (tmp_path / "unclean.yaml").write_text(UNCLEAN, encoding="utf-8")
    return tmp_path


def check(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["sentences", "check", "--config", str(folder / "config.yaml"), *arguments])


def test_each_finding_is_one_json_object(folder: Path) -> None:
    done = check(folder, "--json", str(folder / "unclean.yaml"))
    assert done.exit_code == ExitCode.USAGE
    ambiguous, unspellable = [json.loads(line) for line in done.stdout.splitlines()]
    assert unspellable["code"] == "sentences_unspellable"
    assert ambiguous == {
        "file": str(folder / "unclean.yaml"),
        "line": 6,
        "code": "sentences_ambiguous",
        "level": "warning",
        "what": '"start the egg" is both HassStartTimer minutes=8 ("start the [boiled] egg") and HassStartTimer '
        'minutes=6 (line 4: "start the egg").',
        "todo": "Change one of the two, or tell them apart with requires_context.",
    }


def test_the_files_of_the_configuration_are_checked_where_none_is_named(folder: Path) -> None:
    done = check(folder)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "ok\n", "")
    done = check(folder, "--json")
    assert (done.exit_code, done.stdout) == (0, "")


def test_a_folder_in_words(folder: Path) -> None:
    done = check(folder, str(folder))
    assert f"warning: {folder}/unclean.yaml:6: " in done.stdout
    assert "[sentences_ambiguous]" in done.stdout


def test_without_the_model_spelling_is_not_checked_and_that_is_said(folder: Path) -> None:
    (folder / "config.yaml").write_text(f"asr: {{models_dir: {folder}/none}}\n")
    done = check(folder, str(folder / "unclean.yaml"))
    assert "not checked: whether the speech model can write the words" in done.stderr
    assert "sentences_unspellable" not in done.stdout


def test_a_file_that_is_not_there(folder: Path) -> None:
    done = check(folder, "gone.yaml")
    assert done.exit_code == ExitCode.INPUT
    assert "[file_missing]" in done.stderr
