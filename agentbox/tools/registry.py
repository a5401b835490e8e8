"""Finds the tools: the box's own, the owner's calls and programs from the configuration, installed plugins (entry
points of the group `agentbox.tools`), and files of the folder that `tools.plugins_dir` names, if it names one.

What is broken becomes a problem (a notice) and is left out; the rest works. Where two want the same name or the same
intent, the one found first has it.
"""

from __future__ import annotations

import importlib
import importlib.util
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.errors import AgentboxError, ToolError
from agentbox.messages import JSON, Notice
from agentbox.tools.backends import backend_tool
from agentbox.tools.command import command_tool
from agentbox.tools.context import Service
from agentbox.tools.declaration import Tool
from agentbox.tools.isolation import PluginError, import_apart
from agentbox.tools.sentences import sentences_of

GROUP = "agentbox.tools"

BUILTIN = {
    "clock": "agentbox.tools.clock",
    "timers": "agentbox.tools.timers",
    "lists": "agentbox.tools.lists",
    "volume": "agentbox.tools.volume",
    "talk": "agentbox.tools.talk",
    "pairing": "agentbox.tools.pairing",
}
"""The box's own modules. They are entry points too, for all to see, but are imported by name, so that they are there
when the package runs from a source tree that was never installed."""

IMPORT_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Module:
    """A group of tools that share a namespace of the store, options, and at most one service."""

    name: str
    builtin: bool
    tools: tuple[Tool, ...]
    service: type[Service] | None = None


class Registry:
    """All that the box can do. Made once, by `load`."""

    def __init__(self, modules: Iterable[Module], problems: Iterable[Notice] = ()) -> None:
        self.modules: dict[str, Module] = {}
        self.tools: dict[str, Tool] = {}
        self.problems: list[Notice] = list(problems)
        self._by_intent: dict[str, Tool] = {}
        for module in modules:
            self._add(module)

    @classmethod
    def load(cls, settings: config.Tools, credentials: Credentials, backends: Sequence[str] = ()) -> Registry:
        """Find and import everything. A plugin's code runs here for the first time.

        `backends`: the names of the owner's cloud models, which may be switched between by voice.
        """
        finder = _Finder()
        for name, path in BUILTIN.items():
            finder.add(name, True, partial(importlib.import_module, path))
        if backends:
            finder.add_tools("cloud", [*backends, config.LOCAL], backend_tool)
        if settings.web:
            # Here and not at the top: a box that asks nobody need not spend 8 MB on an HTTP client.
            from agentbox.tools.web import web_tool

            finder.add_tools("web", settings.web, lambda request: web_tool(request, credentials))
        programs = settings.command.commands if settings.command.enabled else []
        finder.add_tools("command", programs, command_tool)
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            if BUILTIN.get(point.name) != point.value:
                finder.add(point.name, False, point.load)
        if settings.plugins_dir is not None:
            finder.add_folder(Path(settings.plugins_dir))
        return cls(finder.modules, finder.problems)

    def for_intent(self, name: str) -> Tool | None:
        """The tool that answers sentences with this intent."""
        return self._by_intent.get(name)

    def module_of(self, tool: str) -> Module:
        """The module of a tool that is there."""
        return self.modules[self.tools[tool].module]

    def schemas(self) -> list[dict[str, JSON]]:
        """All tools in the shape of function calling: name, description, parameters (JSON schema)."""
        return [
            {"name": tool.name, "description": tool.description, "parameters": tool.schema}
            for tool in self.tools.values()
        ]

    def sentences(self, language: str) -> dict[str, JSON]:
        """The tools' own sentence templates for a language, in the format of an owner's sentence file."""
        return sentences_of(self.tools.values(), language)

    def _add(self, module: Module) -> None:
        if module.name in self.modules:
            self._clash(f"There are two tool modules named {module.name}; the second is left out.")
            return
        kept = []
        for tool in module.tools:
            if tool.name in self.tools:
                first = self.tools[tool.name].module
                self._clash(f"The modules {first} and {module.name} both have a tool {tool.name}; {first}'s is used.")
                continue
            tool = replace(tool, module=module.name)
            kept.append(tool)
            self.tools[tool.name] = tool
            for intent in tool.intents:
                if intent in self._by_intent:
                    first = self._by_intent[intent].name
                    self._clash(f"The tools {first} and {tool.name} both answer {intent}; {first} does.")
                else:
                    self._by_intent[intent] = tool
        self.modules[module.name] = replace(module, tools=tuple(kept))

    def _clash(self, what: str) -> None:
        self.problems.append(Notice(code="tool_name_clash", what=what, todo="Rename or remove one of them."))


class _Finder:
    def __init__(self) -> None:
        self.modules: list[Module] = []
        self.problems: list[Notice] = []

    def add(self, name: str, builtin: bool, load: Callable[[], Any]) -> None:
        try:
            imported = load() if builtin else import_apart(load, IMPORT_TIMEOUT_S)
            self.modules.append(_module(name, builtin, imported))
        except AgentboxError as error:
            self._broken(name, error.what)
        except PluginError as error:
            self._broken(name, f"It raised {error}.")
        except TimeoutError:
            self._broken(name, f"Importing it took more than {IMPORT_TIMEOUT_S:g} s.")

    def _broken(self, name: str, why: str) -> None:
        self.problem("tool_module_broken", f"The tool module {name} cannot be used. {why}")

    def add_tools(self, name: str, entries: Iterable[Any], make: Callable[[Any], Tool]) -> None:
        tools = []
        for entry in entries:
            try:
                tools.append(make(entry))
            except ToolError as error:
                self.problems.append(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
        self.modules.append(Module(name, True, tuple(tools)))

    def add_folder(self, folder: Path) -> None:
        """The owner's own files, in the order of their names; those that start with `_` are helpers of others."""
        try:
            files = sorted(path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith("_"))
        except OSError as error:
            self.problem("plugins_dir_unreadable", f"The folder {folder} cannot be read: {error.strerror}.")
            return
        for path in files:
            if (path.stat().st_mode | folder.stat().st_mode) & stat.S_IWOTH:
                self.problem("plugin_writable_by_others", f"{path} may be changed by any user; it is not run.")
            else:
                self.add(path.stem, False, partial(_import_file, path))

    def problem(self, code: str, what: str) -> None:
        self.problems.append(Notice(code=code, what=what, todo="See docs/plugins.md.", level="error"))


def _module(name: str, builtin: bool, imported: object) -> Module:
    """The tools and the service in a Python module's namespace."""
    if not isinstance(imported, ModuleType):
        raise ToolError("tool_module_broken", "Its entry point must name a Python module.")
    values = dict.fromkeys(value for value in vars(imported).values() if isinstance(value, Tool | type))
    tools = tuple(value for value in values if isinstance(value, Tool) and (builtin or not _ours(value.function)))
    services = [
        value
        for value in values
        if isinstance(value, type) and issubclass(value, Service) and (builtin or not _ours(value))
    ]
    services = [service for service in services if service is not Service]
    if len(services) > 1:
        raise ToolError("tool_module_broken", "It has more than one service.")
    if not tools:
        raise ToolError("tool_module_broken", "It has no tool in it.")
    return Module(name, builtin, tools, services[0] if services else None)


def _ours(made: object) -> bool:
    """Whether it is the box's own, which a plugin may have imported to use it."""
    return str(getattr(made, "__module__", "")).startswith("agentbox.")


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"agentbox_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ToolError("tool_module_broken", f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def unknown_options(options: Mapping[str, object], registry: Registry) -> list[Notice]:
    """A notice for each entry of `tools.options` that no module reads."""
    return [
        Notice(
            code="options_unknown_module",
            what=f"tools.options names {name}, and there is no such tool module.",
            todo="`agentbox tools list` names the modules.",
        )
        for name in options
        if name not in registry.modules
    ]
