"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from tests import warm
from tests.models import folder_of_models

# No test asserts on wall time, hypothesis' own deadline included: a machine that is busy is no mistake of ours.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

REAL_TIME = (
    "audio/test_capture",
    "audio/test_output",
    "audio/test_speaker_device",
    "daemon/test_dialogues",
    "daemon/test_microphone",
    "page/test_walk",
    "system/test_user",
    "system/test_watchdog",
)
"""Files of tests that hear and speak as time passes: they wait most of the time, and what needs the processors beside
them would make them late. Where only one test of many does, it is marked itself."""

ALONE = ("page/test_flood",)
"""What does both."""

TIMED_ROOMS = ("audio", "daemon", "page", "system", "tts")
"""Where deploy/test.sh looks for these: what other rooms need takes longer to import than they take."""

LONG = (
    *("system/test_watchdog", "daemon/test_dialogues", "daemon/test_microphone"),
    *("page/test_browser", "daemon/test_box", "asr/test_constrain_network", "page/test_backups", "realtime/test_fuzz"),
    *("page/test_settings", "page/test_malformed", "daemon/test_model_swap", "daemon/test_stopping"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    named = [*REAL_TIME, *ALONE, *LONG]
    assert not [name for name in named if not (folder / f"{name}.py").is_file()], "there are no such tests"
    for item in items:
        name = f"{item.path.parent.name}/{item.path.stem}"
        if name in REAL_TIME:
            item.add_marker(pytest.mark.real_time)
        # A file's tests share a process, and so do all machines: they boot one after the other.
        item.add_marker(pytest.mark.xdist_group("machines" if item.path.parent.name == "system" else name))
        if name in ALONE:
            item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("real_time") or item.get_closest_marker("alone"):
            assert item.path.relative_to(folder).parts[0] in TIMED_ROOMS, f"deploy/test.sh would not find {name}"
    # Where several processes share the tests, the files that take minutes must not be the last ones.
    names = {name: at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: names.get(f"{item.path.parent.name}/{item.path.stem}", len(LONG)))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        warm.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        warm.end()


@pytest.fixture(scope="session")
def models_dir() -> Path:
    return folder_of_models()
