"""docs/errors.md lists every code that the program can give: the source is read, not trusted."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from agentbox import errors
from agentbox.errors import AgentboxError, ConfigError, ExitCode, ToolError
from tests.ground.codes import Given, Source

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"

SOME_SOURCE = """
class AgentboxError(Exception): ...
class ConfigError(AgentboxError): ...
class OddError(ConfigError): ...
class Other(Exception): ...
class CloudError(AgentboxError): ...
raise ConfigError("written", "what")
PROBLEMS: dict[str, str] = {"tabled": "what"}
raise CloudError(failure)
raise errors.OddError(code="keyword", what="what")
Notice(code="either" if x else "or", what="")
ToolResult(error_code=None, ok=True); ToolResult(ok=True); ToolResult(error_code=error.code)
def helper(self, what, code="default"):
    Notice(code=code)
self.helper("what", "positional"); self.helper("what", code="named")
def local(kind: Literal["alarm", "timer"], other: str):
    code = "variable" if kind else error.code
    raise ConfigError(code, "")
    raise ConfigError(f"{kind}_none", "")
def several():
    return "returned", "what"
raise ConfigError(*several())
print("no code"); Other("none"); code = "unused"
"""


@pytest.fixture(scope="module")
def source() -> Source:
    return Source.read(ROOT)


@pytest.fixture(scope="module")
def given(source: Source) -> list[Given]:
    return source.given()


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """Code -> exit code, as the tables of docs/errors.md give them."""
    found = re.findall(r"^\| `([a-z0-9_]+)` \| ([0-9, ]*?) ?\| [^|]+ \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE)
    codes = [code for code, _ in found]
    assert codes == sorted(codes), "keep the table in order"
    assert len(set(codes)) == len(codes), "a code stands twice"
    return dict(found)


def test_the_reader_of_the_source_sees_every_way_to_give_a_code() -> None:
    found = Source.parsed({"some.py": SOME_SOURCE}).given()
    words = "tabled written keyword either or default positional named variable alarm_none timer_none returned"
    assert {one.code for one in found} == set(words.split())
    assert Given("ConfigError", "written", "some.py:7") in found
    assert Given("OddError", "keyword", "some.py:10") in found


@pytest.mark.parametrize("code", ["f'a_{x}'", "x.y", "make()", "*make()", "x", "names[0]", "f'{other}_a'"])
def test_the_reader_of_the_source_says_what_it_cannot_tell(code: str) -> None:
    text = f"class ConfigError(AgentboxError): ...\ndef f(other: str):\n    raise ConfigError({code}, 'what')\nf(g())\n"
    assert [one.code for one in Source.parsed({"some.py": text}).given()] == [None]


def test_every_code_can_be_told(given: list[Given]) -> None:
    assert [one for one in given if one.code is None] == []
    assert [one for one in given if one.code and not re.fullmatch(r"[a-z][a-z0-9_]+", one.code)] == []


def test_every_code_is_listed_and_every_listed_code_exists(given: list[Given], rows: dict[str, str]) -> None:
    in_source = {one.code: one.place for one in given if one.code}
    assert {code: place for code, place in in_source.items() if code not in rows} == {}, "not in docs/errors.md"
    assert sorted(set(rows) - set(in_source)) == [], "in docs/errors.md and nowhere else"


def test_listed_exit_codes_are_those_of_the_classes(source: Source, given: list[Given], rows: dict[str, str]) -> None:
    exits: dict[str, set[str]] = defaultdict(set)
    for one in given:
        kind = one.kind
        while kind in source.parents and not hasattr(errors, kind):
            kind = source.parents[kind]
        if one.code and hasattr(errors, kind):
            exits[one.code].add(str(int(getattr(errors, kind).exit_code)))
    wrong = {code: exits[code] for code, row in rows.items() if set(re.findall(r"\d+", row)) != exits[code]}
    assert wrong == {}, "code: exit codes in the source"


def test_exit_codes_are_listed() -> None:
    text = PAGE.read_text()
    for code in ExitCode:
        assert re.search(rf"^\| {int(code)} \| \S", text, re.MULTILINE), f"exit code {int(code)} is not explained"


def test_an_error_tells_what_and_what_to_do_and_its_code() -> None:
    error = ConfigError("no_such_thing", "There is no such thing.", "Buy one.")
    assert str(error) == "There is no such thing. Buy one. [no_such_thing]"
    assert str(AgentboxError("odd", "It is odd.")) == "It is odd. [odd]"
    assert error.exit_code is ExitCode.USAGE
    assert ToolError("x", "What.", spoken="I cannot.").spoken == "I cannot."
