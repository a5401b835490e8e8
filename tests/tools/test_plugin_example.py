"""The example plugin of docs/plugins.md, built and installed for real, in a place of its own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hassil import Intents, recognize

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.tools.registry import Registry

from .box import a_box

SOURCE = Path(__file__).parents[1] / "plugin_example"
DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the package into. Needs no network: the build tool is the one that is here."""
    missing = [name for name in ("pip", "setuptools") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} is not installed here")
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def on_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(installed)
    yield
    sys.modules.pop("agentbox_dice", None)


@pytest.mark.usefixtures("on_path")
async def test_an_installed_plugin_is_found_and_works() -> None:
    async with a_box(config.Tools(options={"dice": {"sides": 1}})) as box:
        assert box.runner.registry.problems == []
        assert not box.runner.registry.modules["dice"].builtin
        result = await box.call("roll_dice", count=3)
        assert (result.text, result.data) == ("1, 1 and 1", [1, 1, 1])
        assert (await box.call("count_rolls")).text == "3 times."
        assert (await box.call("roll_dice", count=11)).error_code == "tool_bad_arguments"


@pytest.mark.usefixtures("on_path")
def test_its_sentences_come_with_it() -> None:
    sentences = Registry.load(config.Tools(), Credentials(Path("/nowhere"), environ={})).sentences("en")
    assert sentences == {
        "language": "en",
        "intents": {
            "roll_dice": {"data": [{"sentences": ["roll [the|a] (die|dice)", "roll {roll_dice_count:count} dice"]}]},
            "count_rolls": {"data": [{"sentences": ["how often (have|did) you roll[ed] the dice"]}]},
        },
        "lists": {"roll_dice_count": {"range": {"from": 1, "to": 10}}},
    }
    understood = recognize("roll three dice", Intents.from_dict(sentences))
    assert understood is not None
    assert understood.intent.name == "roll_dice"
    assert understood.entities["count"].value == 3


def test_without_it_the_box_has_no_dice() -> None:
    assert "roll_dice" not in Registry.load(config.Tools(), Credentials(Path("/nowhere"), environ={})).tools


@pytest.mark.parametrize("file", ["agentbox_dice.py", "pyproject.toml"])
def test_the_documentation_shows_it_as_it_is(file: str) -> None:
    assert (SOURCE / file).read_text(encoding="utf-8").strip() in DOCS.read_text(encoding="utf-8")
