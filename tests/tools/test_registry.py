"""How tools are found, and what is broken is left out."""

from __future__ import annotations

import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.tools import registry as registry_module
from agentbox.tools.registry import BUILTIN, Module, Registry, unknown_options

GOOD = """
    from agentbox.tools import ToolContext, tool

    @tool(intents=["Greet"])
    async def greet(context: ToolContext) -> str:
        "Greet."
        return "Hello."
"""

Write = Callable[..., config.Tools]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Put files into a plugins' folder: name=source."""

    def put(**files: str) -> config.Tools:
        for name, source in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return config.Tools(plugins_dir=str(tmp_path))

    yield put
    for name in [name for name in sys.modules if name.startswith("agentbox_plugin_")]:
        del sys.modules[name]


def load(settings: config.Tools) -> Registry:
    return Registry.load(settings, Credentials(Path("/nowhere"), environ={}))


def problems(registry: Registry) -> list[str]:
    return [problem.code for problem in registry.problems]


def test_the_boxs_own_tools_are_there_and_serve_the_agreed_intents() -> None:
    registry = load(config.Tools())
    assert registry.problems == []
    assert list(registry.modules)[: len(BUILTIN)] == list(BUILTIN)
    served = """HassGetCurrentTime HassGetCurrentDate HassStartTimer HassCancelTimer HassPauseTimer HassUnpauseTimer
        HassTimerStatus HassIncreaseTimer HassDecreaseTimer HassCancelAllTimers HassShoppingListAddItem
        HassShoppingListCompleteItem HassListAddItem HassListCompleteItem HassListRemoveItem HassSetVolume
        HassSetVolumeRelative HassMediaPlayerMute HassMediaPlayerUnmute HassNevermind AgentboxSetAlarm
        AgentboxSetReminder AgentboxListTimers AgentboxListAlarms AgentboxListReminders AgentboxCancelAlarm
        AgentboxCancelReminder AgentboxReadList AgentboxClearList AgentboxGetVolume AgentboxStop AgentboxRepeat
        AgentboxHelp AgentboxUndo AgentboxChangeTimer AgentboxChangeAlarm AgentboxChangeReminder
        AgentboxCancelAllAlarms AgentboxCancelAllReminders"""
    assert [intent for intent in served.split() if registry.for_intent(intent) is None] == []


def test_the_boxs_own_modules_are_entry_points_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["agentbox.tools"] == BUILTIN


def test_schemas_are_in_the_shape_of_function_calling() -> None:
    schemas = {schema["name"]: schema for schema in load(config.Tools()).schemas()}
    assert schemas["set_volume"] == {
        "name": "set_volume",
        "description": "Set the volume, in percent. Sound that was off comes on.",
        "parameters": {
            "type": "object",
            "properties": {"volume_level": {"type": "integer", "minimum": 0, "maximum": 100}},
            "required": ["volume_level"],
            "additionalProperties": False,
        },
    }


def test_the_owners_folder_is_read_when_it_is_named(write: Write) -> None:
    settings = write(hello=GOOD, _helper="raise ValueError")
    registry = load(settings)
    assert problems(registry) == []
    tool = registry.for_intent("Greet")
    assert tool is not None
    assert (tool.name, tool.module, registry.modules["hello"].builtin) == ("greet", "hello", False)
    assert load(config.Tools()).for_intent("Greet") is None


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('no')",
        "import sys; sys.exit()",
        "raise KeyboardInterrupt",
        "import no_such_module",
        "def broken(",
        "x = 1",
        "\0",
        "from agentbox.tools import tool\n@tool()\nasync def f(): pass",
        "from agentbox.tools import tool\n@tool\nasync def f(): pass",
        "from agentbox.tools import Service\nclass A(Service): pass\nclass B(Service): pass",
    ],
)
def test_a_module_that_cannot_be_used_is_a_problem_and_the_rest_works(write: Write, source: str) -> None:
    registry = load(write(broken=source, hello=GOOD))
    assert problems(registry) == ["tool_module_broken"]
    assert "broken" in registry.problems[0].what
    assert {"greet", "get_time"} <= registry.tools.keys()


def test_a_declaration_problem_says_what_is_wrong(write: Write) -> None:
    registry = load(write(broken=GOOD.replace("context: ToolContext", "context: ToolContext, count")))
    assert "'greet'" in registry.problems[0].what
    assert "type hint" in registry.problems[0].what


def test_an_import_that_hangs_is_left_behind(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write(slow="import threading\nthreading.Event().wait(3)\n", hello=GOOD)
    monkeypatch.setattr(registry_module, "IMPORT_TIMEOUT_S", 0.1)
    registry = load(settings)
    assert problems(registry) == ["tool_module_broken"]
    assert "greet" in registry.tools


def test_what_a_module_prints_at_import_goes_nowhere(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert "greet" in load(write(hello=GOOD + "\n    print('noise')")).tools
    assert capsys.readouterr().out == ""


def test_of_two_tools_with_one_name_the_first_is_used(write: Write) -> None:
    settings = write(a=GOOD, b=GOOD, c=GOOD.replace("def greet", "def get_time").replace("Greet", "HassGetCurrentTime"))
    registry = load(settings)
    assert problems(registry) == ["tool_name_clash", "tool_name_clash"]
    assert registry.tools["greet"].module == "a"
    assert registry.tools["get_time"].module == "clock"
    assert registry.modules["c"].tools == ()


def test_of_two_tools_for_one_intent_the_first_answers(write: Write) -> None:
    registry = load(write(a=GOOD, b=GOOD.replace("def greet", "def welcome")))
    assert problems(registry) == ["tool_name_clash"]
    tool = registry.for_intent("Greet")
    assert tool is not None
    assert tool.name == "greet"
    assert "welcome" in registry.tools


def test_a_plugin_cannot_take_the_name_of_a_module(write: Write) -> None:
    registry = load(write(timers=GOOD))
    assert problems(registry) == ["tool_name_clash"]
    assert "greet" not in registry.tools
    assert registry.modules["timers"].builtin


def test_our_own_tools_that_a_plugin_imports_stay_ours(write: Write) -> None:
    source = "from agentbox.tools.timers import start_timer, Ringer\nfrom agentbox.tools import Service\n"
    registry = load(write(hello=source + textwrap.dedent(GOOD)))
    assert problems(registry) == []
    assert registry.modules["hello"].service is None
    assert [tool.name for tool in registry.modules["hello"].tools] == ["greet"]


def test_a_file_that_any_user_may_change_is_not_run(write: Write, tmp_path: Path) -> None:
    settings = write(hello=GOOD)
    (tmp_path / "hello.py").chmod(0o666)
    assert problems(load(settings)) == ["plugin_writable_by_others"]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    registry = load(config.Tools(plugins_dir=str(tmp_path / "none")))
    assert problems(registry) == ["plugins_dir_unreadable"]


def test_the_owners_calls_that_cannot_be_used_are_problems_and_the_rest_works() -> None:
    settings = config.Tools(
        web=[
            config.WebRequest(name="good", url="http://127.0.0.1/"),
            config.WebRequest(name="bad", url="http://{host}/"),
        ],
        command=config.Commands(
            enabled=True, commands=[config.Command(name="ls", argv=["ls"]), config.Command(name="any", argv=["{x}"])]
        ),
    )
    registry = load(settings)
    assert problems(registry) == ["web_request_wrong", "command_wrong"]
    assert {"good", "ls"} <= registry.tools.keys()
    assert not {"bad", "any"} & registry.tools.keys()


def test_programs_are_off_unless_enabled() -> None:
    settings = config.Tools(command=config.Commands(commands=[config.Command(name="ls", argv=["ls"])]))
    assert "ls" not in load(settings).tools


def test_options_for_nobody_are_a_problem() -> None:
    notices = unknown_options({"volume": {}, "volum": {}}, Registry([Module("volume", True, ())]))
    assert [notice.code for notice in notices] == ["options_unknown_module"]
