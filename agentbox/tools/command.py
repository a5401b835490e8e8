"""Programs that the owner allowed in the configuration (`tools.command`), each a tool of its own.

The arguments are fixed and go to the program itself, never to a shell. A slot fills (part of) one argument, and cannot
turn it into an option. The program sees a small environment of its own and none of the box's variables.
"""

from __future__ import annotations

import re
import shutil

from agentbox import config
from agentbox.errors import ToolError
from agentbox.messages import JSON
from agentbox.tools import template
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import Tool, parameters_struct
from agentbox.tools.process import run_program

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRON = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/"}

MAX_OUTPUT_BYTES = 16 << 10
LONGEST_VALUE = 2000


def command_tool(command: config.Command) -> Tool:
    """The tool that runs this program. Raises `ToolError` `command_wrong`."""
    if template.slots(command.argv[0]) or "\0" in "".join(command.argv):
        raise _wrong(command, "the program itself must be fixed")
    if any(re.match(r"--?\{", argument) for argument in command.argv):
        raise _wrong(command, "an option's name must be fixed")
    if template.secrets([command.argv, command.answer]):
        # Any user of the machine can read a program's arguments.
        raise _wrong(command, "a secret must not be in its arguments")

    async def call(context: ToolContext, **slots: JSON) -> Outcome:
        return await _call(command, context, slots)

    names = template.slots(command.argv)
    in_answer = [name for name in template.slots(command.answer) if name != "text" and name not in names]
    return Tool(
        name=command.name,
        description=command.description or f"Run {command.name.replace('_', ' ')}.",
        function=call,
        parameters=parameters_struct(
            command.name,
            [
                *((name, str | int | float) for name in names),
                *((name, str | int | float | None, None) for name in in_answer),
            ],
        ),
        intents=(command.intent or command.name,),
        risk="risky",
        # Its own time-out ends it first, and its children with it.
        timeout_s=command.timeout_s + 5,
        ignore_other_slots=True,
    )


def arguments(argv: list[str], slots: dict[str, JSON]) -> list[str]:
    """The program's arguments with the slots in place. Pure. Raises `ToolError` `command_bad_value`."""
    values = template.texts(slots)
    if any("\0" in value or len(value) > LONGEST_VALUE for value in values.values()):
        raise ToolError("command_bad_value", "A value is too long or no text.", "Say it differently.")
    filled = [template.fill(argument, values) for argument in argv]
    for before, after in zip(argv, filled, strict=True):
        if after.startswith("-") and not before.startswith("-"):
            raise ToolError("command_bad_value", "A value would be taken for an option.", "Say it differently.")
    return filled


async def _call(command: config.Command, context: ToolContext, slots: dict[str, JSON]) -> Outcome:
    program, *rest = arguments(command.argv, slots)
    found = shutil.which(program, path=PATH)
    if found is None:
        raise ToolError("command_missing", f"The program of {command.name} is not there.", "Check its argv.")
    try:
        ended = await run_program(
            [found, *rest], environ=ENVIRON, timeout_s=command.timeout_s, max_bytes=MAX_OUTPUT_BYTES
        )
    except TimeoutError as error:
        raise ToolError(
            "command_timeout", f"{command.name} ran over {command.timeout_s:g} s.", "Raise its timeout_s."
        ) from error
    except OSError as error:
        raise ToolError(
            "command_missing", f"{command.name} cannot be started: {error.strerror}.", "Check its argv."
        ) from error
    if ended.exit_code != 0:
        raise ToolError(
            "command_failed", f"{command.name} ended with exit code {ended.exit_code}.", "Try it in a terminal."
        )
    text = ended.output.decode("utf-8", "replace").strip()
    if ended.truncated:
        text += context.phrases.part("cut_short")
    sentence = template.fill(command.answer, {"text": text, **template.texts(slots)})
    return Outcome(sentence.strip() or context.say("done"), data={"exit_code": 0, "truncated": ended.truncated})


def _wrong(command: config.Command, why: str) -> ToolError:
    return ToolError(
        "command_wrong", f"The command {command.name} cannot be used: {why}.", "Mend it under tools.command."
    )
