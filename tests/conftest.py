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
    "page/test_flood",
    "page/test_walk",
    "system/test_user",
    "system/test_watchdog",
)
"""Files of tests that hear and speak as time passes: another one beside them would make both late. Where only one test
of many does, it is marked itself."""

LONG = (
    *("page/test_browser", "daemon/test_box", "asr/test_constrain_network", "page/test_backups", "realtime/test_fuzz"),
    *("page/test_settings", "page/test_malformed", "daemon/test_model_swap", "daemon/test_stopping"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    assert not [name for name in REAL_TIME if not (folder / f"{name}.py").is_file()], "there are no such tests"
    for item in items:
        if f"{item.path.parent.name}/{item.path.stem}" in REAL_TIME:
            item.add_marker(pytest.mark.alone)
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
