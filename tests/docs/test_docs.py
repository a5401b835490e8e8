"""The documents are held to the code: a command, figure or room that is not in them fails here."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from agentbox.config import Config
from agentbox.errors import ExitCode
from agentbox.messages import Stage

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def make_commands() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", DOCS / "make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_commands_is_the_commands_own_help() -> None:
    module = make_commands()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python docs/make_commands.py"


def json_commands(table: str) -> list[str]:
    """The commands that the table of JSON keys names; of a row's second one, its group is told by the first."""
    found = []
    for cell in re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE):
        first, *others = re.findall("`([^`]+)`", cell)
        group = first.rpartition(" ")[0]
        found += [first, *(f"{group} {other}".strip() for other in others)]
    return found


def test_every_command_has_an_example_and_its_json_keys_in_the_page() -> None:
    module = make_commands()
    table = module.PAGE.read_text(encoding="utf-8").partition(module.MARK)[0]
    for path, command in module.commands(module.main, "agentbox"):
        if hasattr(command, "commands") or command is module.main:
            continue
        assert "Example" in (command.help or ""), f"{path} has no example"
        if any(option.name == "as_json" for option in command.params):
            name = path.removeprefix("agentbox ")
            assert json_commands(table).count(name) == 1, f"{path} --json"


def test_every_exit_code_is_in_the_page() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {int(code)} |" in text


def emitted() -> tuple[set[tuple[str, str | None]], set[str]]:
    """Every (stage, state) and every figure that the daemon emits, read from its source."""
    events: set[tuple[str, str | None]] = set()
    figures: set[str] = set()
    for file in (ROOT / "agentbox" / "daemon").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
                stage, state = node.args[0], node.args[1]
                if isinstance(stage, ast.Constant):
                    fixed = state.value if isinstance(state, ast.Constant) else None
                    events.add((str(stage.value), fixed if isinstance(fixed, str) else None))
            if isinstance(node, ast.Dict):
                keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                figures |= {str(key) for key in keys if str(key).endswith(("_ms", "_dbfs"))}
    return events, figures


def test_every_stage_event_and_figure_is_documented() -> None:
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    events, figures = emitted()
    assert len(events) > 10
    assert {"since_speech_end_ms", "decode_ms", "silence_ms"} <= figures
    for stage in get_args(Stage):
        assert f"| `{stage}` |" in text, stage
    for stage, state in events:
        if state is not None:
            assert re.search(rf"\| `{stage}` \| [^|]*`{state}`", text), f"{stage} {state}"
    for figure in figures:
        assert f"`{figure}`" in text, figure


@pytest.mark.parametrize("page", sorted(path.name for path in [ROOT / "README.md", *DOCS.glob("*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page if page == "README.md" else DOCS / page
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{page}: {target}"


def test_the_readme_shows_the_way_to_every_room_and_document() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for room in (ROOT / "agentbox").iterdir():
        if room.is_dir() and (room / "__init__.py").exists():
            assert f"(agentbox/{room.name})" in text, room.name
    for module in (ROOT / "agentbox").glob("[a-z]*.py"):
        assert f"`{module.name}`" in text, module.name
    for page in DOCS.glob("*.md"):
        pages = text + "".join(other.read_text(encoding="utf-8") for other in DOCS.glob("*.md") if other != page)
        assert page.name in pages, page.name


def test_every_section_of_the_configuration_has_a_place_in_its_page() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for section in Config.__struct_fields__:
        assert section in text
