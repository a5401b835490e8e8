"""Errors that a person meets: a stable code, what happened, and what to do about it.

Codes are part of the interface (docs/errors.md lists them all; a test holds the list to the code).
Never put a transcript, a secret or a URL with a query into an error's text.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `agentbox` command."""

    OK = 0
    FAILED = 1
    """The thing asked for did not work (a tool failed, a check of `doctor` failed)."""
    USAGE = 2
    """A wrong option, or a mistake in the configuration."""
    INPUT = 3
    """An input file or text that cannot be used."""
    MODEL = 4
    """A model is missing, damaged or cannot be fetched."""
    AUDIO = 5
    """No usable sound device."""
    STORAGE = 6
    """The state directory or the database cannot be used."""
    UNREACHABLE = 7
    """A running daemon is needed and none answers, or one runs already."""
    RESTART = 75
    """The daemon ends to begin anew (EX_TEMPFAIL of sysexits.h, which no part of Python or systemd uses): its service
    manager starts it again."""


class AgentboxError(Exception):
    """Base of every error shown to a person.

    `code` is stable and lower_snake_case, `what` says what happened, `todo` says what to do about it.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, code: str, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what} {self.todo} [{self.code}]" if self.todo else f"{self.what} [{self.code}]"


class ConfigError(AgentboxError):
    exit_code = ExitCode.USAGE


class InputError(AgentboxError):
    exit_code = ExitCode.INPUT


class ModelError(AgentboxError):
    exit_code = ExitCode.MODEL


class AudioError(AgentboxError):
    exit_code = ExitCode.AUDIO


class StorageError(AgentboxError):
    exit_code = ExitCode.STORAGE


class ControlError(AgentboxError):
    exit_code = ExitCode.UNREACHABLE


class ToolError(AgentboxError):
    """A tool could not do what it was asked. `spoken` is what the owner hears, in their language.

    `asks`: that is a question, and its answer makes the call whole: sentences that require the context `asked: <code>`
    give the slots that were missing (docs/sentences.md).
    """

    def __init__(self, code: str, what: str, todo: str = "", *, spoken: str = "", asks: bool = False) -> None:
        super().__init__(code, what, todo)
        self.spoken = spoken
        self.asks = asks
