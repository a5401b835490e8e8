"""The owner's names: where they come from, and that a box which hears one writes it as its owner does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from agentbox.config import Asr, Config, Intents
from agentbox.control.client import Client
from agentbox.daemon import mind
from agentbox.daemon.core import open_core
from agentbox.daemon.events import Events
from agentbox.daemon.hotwords import MOST_HOTWORDS, gather
from agentbox.daemon.mind import load_tools, make_understander, problems_of
from agentbox.settings import Loaded
from benchmarks.voices import Sound, load_voice, pad
from tests.daemon.conftest import Home, Running

SENTENCES = """
language: en
lists:
  person: {values: ["Quintanilla", {in: "[aunt] Siobhan", out: siobhan}]}
  words: {values: ["what somebody says in a sentence that is much too long to be a name"]}
  room: {wildcard: true}
intents:
  HassStartTimer:
    data:
      - sentences: ["tea for {person} in {room} at {level}", "tea {words}"]
        slots: {minutes: 4}
"""


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path / "state"))


def gathered(config: Config, cache: Path) -> tuple[list[str], list[str]]:
    names, problems = gather(config, [make_understander(config, load_tools(config), cache=cache)])
    return names, [problem.code for problem in problems]


def test_names_come_from_the_configuration_a_file_and_the_lists_of_the_owners_sentences(tmp_path: Path) -> None:
    file, sentences = tmp_path / "names.txt", tmp_path / "mine.yaml"
    file.write_text("\ufeff# people\n  Przemysław   Nowak \n\n李娜\nSiobhan\n", encoding="utf-8")
    sentences.write_text(SENTENCES)
    config = Config(
        asr=Asr(hotwords=["Thermomix", "李娜"], hotwords_file=str(file)),
        intents=Intents(sentences=[str(sentences)], builtin=False),
    )
    names, problems = gathered(config, tmp_path)
    assert names == ["Thermomix", "李娜", "Przemysław Nowak", "Siobhan", "Quintanilla", "aunt Siobhan"]
    assert problems == []


def test_lists_of_one_block_of_sentences_may_name_its_rules_and_lists(tmp_path: Path) -> None:
    sentences = tmp_path / "mine.yaml"
    sentences.write_text("""
intents:
  HassNevermind:
    data:
      - sentences: ["no more {lamp}"]
        expansion_rules: {owner: "(Siobhan|Quintanilla)"}
        lists:
          room: {values: [atrium]}
          any: {wildcard: true}
          lamp: {values: ["<owner>'s lamp", "{room} lamp", "{any} lantern"]}
""")
    config = Config(intents=Intents(sentences=[str(sentences)], builtin=False))
    names, problems = gathered(config, tmp_path)
    assert sorted(names) == ["Quintanilla's lamp", "Siobhan's lamp", "atrium", "atrium lamp"]
    assert problems == []


def test_a_box_of_ones_own_sentences_alone_listens_for_no_words_of_ours(tmp_path: Path) -> None:
    assert gathered(Config(), tmp_path) == ([], [])


async def test_the_file_is_never_read_in_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be long, or lie on a disk that is slow: the box hears and rings meanwhile."""
    read_in: list[threading.Thread] = []

    def noting(*given: Any) -> Any:
        read_in.append(threading.current_thread())
        return gather(*given)

    monkeypatch.setattr(mind, "gather", noting)
    config = Config(asr=Asr(hotwords_file=str(tmp_path / "none.txt")), intents=Intents(builtin=False))
    told: list[str] = []
    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as core:
        told += core.notices
    assert "hotwords_unreadable" in told
    assert read_in
    assert threading.main_thread() not in read_in


@pytest.mark.parametrize(
    ("content", "names", "problem"),
    [
        (None, [], "hotwords_unreadable"),
        (b"\xff\xfe\x00", [], "hotwords_unreadable"),
        (b"Anna\n" + b"x" * 61 + b"\n", ["Anna"], "hotwords_too_long"),
        (b"#" * (5 << 20), [], "hotwords_unreadable"),
        (b"".join(b"n%d\n" % number for number in range(MOST_HOTWORDS + 1)), None, "hotwords_too_many"),
    ],
)
def test_a_file_that_is_none_is_told_and_left_out(
    tmp_path: Path, content: bytes | None, names: list[str] | None, problem: str
) -> None:
    file = tmp_path / "names.txt"
    if content is not None:
        file.write_bytes(content)
    config = Config(asr=Asr(hotwords_file=str(file)), intents=Intents(builtin=False))
    found, problems = gathered(config, tmp_path)
    assert problems == [problem]
    assert len(found) == MOST_HOTWORDS if names is None else found == names
    registry = load_tools(config)
    told = problems_of(config, registry, [make_understander(config, registry, cache=tmp_path)], [])
    assert problem in [one.code for one in told], "agentbox doctor tells it too"


def said(text: str) -> Sound:
    return pad(load_voice("hibari")(text), 1000)


def heard(events: list[dict[str, Any]]) -> dict[str, Any]:
    [event] = [one for one in events if one["stage"] == "transcript" and one["state"] == "final"]
    return event


def configure(home: Home, **asr: object) -> None:
    home.configure({"activation": {"mode": "always"}, "asr": {"models_dir": str(home.models_dir), **asr}})


def test_a_box_puts_a_name_on_the_list_as_its_owner_writes_it(home: Home, tmp_path: Path) -> None:
    sound = tmp_path / "said.wav"
    soundfile.write(sound, said("Add Goudriaan to the shopping list."), 16_000)
    configure(home)
    plain = heard(home.hear(sound))
    assert "Goudriaan" not in plain["message"]["text"]
    assert "hotwords_ms" not in plain["timings"]
    (tmp_path / "names.txt").write_text("Goudriaan\nKoivula\n")
    configure(home, hotwords_file=str(tmp_path / "names.txt"))
    events = home.hear(sound)
    assert "Goudriaan" in heard(events)["message"]["text"]
    assert heard(events)["timings"]["hotwords_ms"] > 0
    [meant] = [event["message"] for event in events if event["stage"] == "intent"]
    assert meant["slots"]["item"] == "Goudriaan"


def test_a_name_counts_at_once_where_it_is_set_while_the_box_runs(home: Home, start: Callable[..., Running]) -> None:
    configure(home)
    daemon = start("--source", "-")
    client = Client(home.state / "control.sock")
    told = client.call("config.set", {"key": "asr.hotwords", "value": ["Goudriaan"]})
    assert told == {"changed": ["asr.hotwords"], "restart_needed": False}
    assert yaml.safe_load((home.state / "settings.yaml").read_text())["asr"] == {"hotwords": ["Goudriaan"]}
    daemon.until("box", "reloaded")
    assert daemon.process.stdin is not None
    block = (said("Add Goudriaan to the shopping list.") * 32767).astype(np.int16).tobytes()
    os.write(daemon.process.stdin.fileno(), block)
    assert "Goudriaan" in daemon.until("transcript", "final")["message"]["text"]
    assert not [event for event in daemon.seen if event["state"] == "restart_needed"]
    assert daemon.stop() == 0
