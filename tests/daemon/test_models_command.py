"""What models cost on this machine, and which is the best for it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agentbox import paths
from agentbox.asr.catalogue import Catalogue
from agentbox.cli import main
from agentbox.config import Asr, Config
from agentbox.daemon import measured as measured_models
from agentbox.daemon.measured import Machine, Measured, pick_threads, stamp, thread_numbers, threads_of
from agentbox.daemon.model_process import Wanted, opened
from agentbox.daemon.shelf import QUICK_MS, Facts, Judged, Verdict, facts_of, recommend
from agentbox.errors import AgentboxError
from tests.daemon.conftest import Home

BOX = Machine(processor="a small one", cores=4, memory_mb=2000.0)
FREE = "MIT"
CLOSED = "Community License (not for commercial use)"


def model(
    name: str,
    *,
    speaks: bool = True,
    memory_mb: float | None = 100.0,
    command_ms: float | None = 100.0,
    wrong: float | None = None,
    bytes: int = 50_000_000,
    licence: str = FREE,
) -> Facts:
    return Facts(name, speaks, licence, bytes, True, memory_mb, command_ms, True, wrong)


SMALL, BETTER = model("small", wrong=7.7), model("better", wrong=5.1, bytes=90_000_000)


@pytest.mark.parametrize(
    ("models", "best", "verdicts"),
    [
        ([SMALL, BETTER], "better", {}),
        ([BETTER._replace(command_ms=QUICK_MS + 1), SMALL], "small", {"better": "slow"}),
        ([BETTER._replace(command_ms=QUICK_MS), SMALL], "better", {}),
        ([BETTER._replace(memory_mb=1001), SMALL], "small", {"better": "memory"}),
        ([BETTER._replace(memory_mb=1000), SMALL], "better", {}),
        ([BETTER._replace(speaks=False), SMALL], "small", {"better": "language"}),
        ([BETTER._replace(command_ms=None), SMALL], "small", {"better": "unmeasured"}),
        ([BETTER._replace(memory_mb=None), SMALL], "small", {"better": "unmeasured"}),
        # Errors that nobody counted are no reason to prefer a model; among such, the larger one.
        ([model("unknown", bytes=10**9), SMALL], "small", {}),
        ([model("a"), model("b", bytes=60_000_000)], "b", {}),
        ([SMALL._replace(present=False)], "small", {}),
        ([SMALL._replace(licence=CLOSED)], "small", {}),
        ([SMALL._replace(command_ms=9000)], None, {"small": "slow"}),
        ([SMALL._replace(memory_mb=9000, command_ms=9000)], None, {"small": "memory"}),
        ([], None, {}),
    ],
)
def test_what_is_recommended(models: list[Facts], best: str | None, verdicts: dict[str, Verdict]) -> None:
    for order in (models, models[::-1]):
        found = recommend(order, BOX, "en")
        assert (found[0].facts.name if found and found[0].verdict == "fits" else None) == best
        assert {one.facts.name: one.verdict for one in found if one.verdict != "fits"} == verdicts


def only(facts: Facts) -> Judged:
    [judged] = recommend([facts], BOX, "en")
    return judged


def test_it_says_why() -> None:
    assert only(SMALL).why == "0.10 s for a command of 4 s (measured here on 4 cores), 100 MB, 7.7 % wrong"
    assert "not measured here" in only(SMALL._replace(measured=False)).why
    assert CLOSED in only(SMALL._replace(licence=CLOSED)).why
    assert only(BETTER._replace(command_ms=800)).why.startswith("needs 0.80 s for a command of 4 s (measured here")
    assert only(BETTER._replace(memory_mb=1500)).why == "takes 1500 MB of memory; half of this machine's is 1000 MB"
    assert only(BETTER._replace(speaks=False)).why == "does not know en"
    assert only(BETTER._replace(command_ms=None)).why == "not measured yet: agentbox models measure better"


def test_what_was_measured_here_counts_more_than_the_catalogue() -> None:
    tiny, config = Catalogue.load().get("moonshine-tiny-en"), Config()
    said = facts_of(tiny, config, None)
    assert (said.memory_mb, said.wrong) == (88, 7.7)
    assert said.command_ms == pytest.approx(72)
    here = facts_of(tiny, config, measured(threads=2))
    assert (here.memory_mb, here.command_ms, here.measured) == (106.0, 70.0, True)
    assert facts_of(tiny, Config(asr=Asr(language="en-GB")), None).wrong == 7.7
    assert not facts_of(tiny, Config(asr=Asr(language="zh")), None).speaks


# Threads


@pytest.mark.parametrize(
    ("command_ms", "threads"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 86.0}, 1),
        ({1: 100.0, 2: 85.0}, 2),
        ({1: 100.0, 2: 60.0, 4: 55.0}, 2),
        ({1: 100.0, 2: 60.0, 4: 40.0}, 4),
        ({1: 100.0, 2: 95.0, 4: 70.0}, 4),
        ({1: 100.0, 2: 140.0}, 1),
    ],
)
def test_the_number_of_threads(command_ms: dict[int, float], threads: int) -> None:
    assert pick_threads(command_ms) == threads


@given(st.integers(1, 256))
def test_the_numbers_that_are_tried(cores: int) -> None:
    numbers = thread_numbers(cores)
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == min(cores, 8)


def measured(threads: int = 1, machine: Machine | None = None, stamp: str = "") -> Measured:
    return Measured(
        stamp=stamp,
        machine=machine or Machine.here(),
        at=1.0,
        threads=threads,
        command_ms={1: 90.0, 2: 70.0},
        rtf={1: 0.02, 2: 0.015},
        load_s=0.5,
        peak_mb=106.0,
        resting_mb=55.0,
    )


@pytest.fixture
def config(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    return Config(asr=Asr(models_dir=str(models_dir)))


def test_the_number_that_was_measured_is_used_where_the_owner_gives_none(config: Config) -> None:
    name = config.asr.model
    assert threads_of(config) == 1
    measured_models.keep(name, measured(2, stamp=stamp(name, config)))
    assert threads_of(config) == 2
    assert threads_of(config, "moonshine-base-en") == 1
    assert threads_of(msgspec.structs.replace(config, asr=Asr(models_dir=config.asr.models_dir, threads=3))) == 3


def test_what_was_measured_of_other_files_or_elsewhere_does_not_count(config: Config) -> None:
    name, here = config.asr.model, Machine.here()
    measured_models.keep(name, measured(2, stamp="of other files"))
    assert measured_models.known(name, config) is None
    more = msgspec.structs.replace(here, cores=here.cores + 2)
    measured_models.keep(name, measured(2, more, stamp(name, config)))
    assert measured_models.known(name, config) is None
    measured_models.keep(name, measured(2, here, stamp(name, config)))
    assert measured_models.known(name, config) is not None
    paths.measured_file().write_text("{")  # cut off: measured again some time
    assert measured_models.known(name, config) is None
    assert threads_of(config) == 1


def test_what_is_kept_of_one_model_leaves_the_others(config: Config) -> None:
    measured_models.keep("a", measured())
    measured_models.keep("b", measured())
    assert set(json.loads(paths.measured_file().read_text())) == {"a", "b"}


def test_a_folder_is_kept_by_the_path_that_the_configuration_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setattr(measured_models, "measure", lambda *_, **__: measured())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = CliRunner().invoke(main, ["models", "measure", "../mine/", "moonshine-tiny-en"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(paths.measured_file().read_text())) == {str(tmp_path / "mine"), "moonshine-tiny-en"}
    assert all(measured_models.known(name, Config()) for name in ("../mine", str(tmp_path / "mine")))


def test_the_list_names_a_few_of_many_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    lines = CliRunner().invoke(main, ["models", "list"]).output.splitlines()
    [base] = [line for line in lines if "whisper-base" in line]
    many = len(Catalogue.load().get("whisper-base").languages)
    assert f"en, zh, de, es, ru, ko and {many - 6} more " in base


def test_the_second_model_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    own = str(tmp_path / "own")
    for second, present in (("moonshine-base-en", ""), (own, "*")):
        asr = {"models_dir": str(tmp_path / "models"), "second_model": second}
        (tmp_path / "config.yaml").write_text(json.dumps({"asr": asr}))
        options = ["--config", str(tmp_path / "config.yaml")]
        lines = CliRunner().invoke(main, ["models", "list", *options]).output.splitlines()
        assert [line.split()[:2] for line in lines if line.startswith("+")] == [[f"+{present}", second]]
        rows = map(json.loads, CliRunner().invoke(main, ["models", "list", "--json", *options]).output.splitlines())
        assert [(row["name"], row["in_use"]) for row in rows if row["second"]] == [(second, False)]


def test_a_second_model_that_cannot_be_had_keeps_nobody_from_those_that_are_needed(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        (tmp_path / "models" / name).mkdir(parents=True)
        for file in (models_dir / name).iterdir():
            (tmp_path / "models" / name / file.name).symlink_to(file)
    for second, code in (("moonshine-base-zh", "model_fetch_failed"), ("moonshine-base-klingon", "model_unknown")):
        asr = {"models_dir": str(tmp_path / "models"), "second_model": second}
        (tmp_path / "config.yaml").write_text(json.dumps({"asr": asr}))
        for command in ("pull", "verify"):
            done = CliRunner().invoke(main, ["models", command, "--config", str(tmp_path / "config.yaml")])
            assert done.exit_code == 0, done.output
            named = [line.split(":")[0] for line in done.stdout.splitlines()]
            assert named == ["moonshine-tiny-en", "silero-vad-16k"]
            assert (code in done.stderr) is (command == "pull")


# The real model


def test_measure_list_and_recommend(home: Home) -> None:
    [found] = home.json("models", "measure", "--rounds", "2")
    cores = len(os.sched_getaffinity(0))
    assert set(found["command_s_by_threads"]) == {str(number) for number in thread_numbers(cores)}
    assert found["threads"] == pick_threads({int(n): s for n, s in found["command_s_by_threads"].items()})
    assert 40 < found["resting_mb"] <= found["peak_mb"] < 400
    assert found["rtf"] > 0
    rows = {row["name"]: row for row in home.json("models", "list")}
    assert rows["moonshine-tiny-en"]["measured"] == {key: value for key, value in found.items() if key != "name"}
    assert rows["moonshine-tiny-en"]["in_use"]
    assert rows["moonshine-base-zh"]["measured"] is None
    said = home.run("models", "recommend", "--json")
    judged = {row["name"]: row for row in map(json.loads, said.stdout.splitlines())}
    assert f"measured here on {cores} cores" in judged["moonshine-tiny-en"]["why"]
    assert judged["moonshine-base-zh"]["verdict"] == "language"
    assert (said.returncode == 0) is any(row["recommended"] for row in judged.values())


def test_a_model_that_is_not_here_cannot_be_measured(config: Config) -> None:
    with pytest.raises(AgentboxError) as caught:
        measured_models.measure("moonshine-tiny-ko", Config(asr=Asr(language="ko")), [np.zeros(16000, np.float32)])
    assert caught.value.code == "model_missing"


def test_a_process_that_ends_is_a_damaged_model(models_dir: Path) -> None:
    wanted = Wanted(model="moonshine-tiny-en", language="en", models_dir=str(models_dir))
    with opened(wanted) as process:
        assert process.loaded.peak_mb > 40
        process._process.kill()
        with pytest.raises(AgentboxError) as caught:
            process.decode()
    assert caught.value.code == "model_damaged"
    assert process._process.returncode is not None


def test_the_process_that_tries_a_model_gets_no_secrets(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_SECRET_OPENAI", "sesame")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/sesame")
    monkeypatch.setenv("NOTIFY_SOCKET", "@sesame")
    with opened(Wanted(model="moonshine-tiny-en", language="en", models_dir=str(models_dir))) as process:
        given = Path(f"/proc/{process._process.pid}/environ").read_bytes()
    assert b"PATH=" in given
    assert b"sesame" not in given


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(AgentboxError) as caught, opened(Wanted(model="x", language="en", models_dir="/")):
        pass
    assert caught.value.code == "model_failed"
