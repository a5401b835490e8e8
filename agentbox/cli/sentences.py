"""`agentbox sentences`: the owner's files of sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from agentbox import paths
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.load import check_language, is_folder
from agentbox.asr.tokens import TokenTable
from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.config import Config
from agentbox.daemon.mind import ANSWERS, load_tools
from agentbox.errors import AgentboxError, ExitCode, InputError
from agentbox.intents.check.check import check as check_sentences
from agentbox.settings import Loaded
from agentbox.speech_grammar import is_spaced

_TOKENS = "tokenizer.bin"


@click.group(cls=Group)
def sentences() -> None:
    """Check your own sentences."""


@sentences.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[F]...")
@click.option("--language", metavar="L", help="Another language than asr.language.")
@with_json
@with_config
@click.pass_context
def check(ctx: click.Context, loaded: Loaded, files: tuple[Path, ...], language: str | None, as_json: bool) -> None:
    """Look for mistakes in files (or folders) of sentences; without F in those of the configuration.

    Told are mistakes in writing; words that mean two things; sentences and values that are never understood, since
    others take their words; words that are never heard as they are written, or that the speech model cannot write;
    and phrases that sound nearly the same. What only is worth knowing is an `info`.

    Exit code 2 if anything but an `info` was found.

    \b
    Example:
      agentbox sentences check orders.yaml
    """
    config = loaded.config
    if language:
        config = msgspec.structs.replace(config, asr=msgspec.structs.replace(config.asr, language=language))
    for file in files:
        if not file.exists():
            raise InputError("file_missing", f"There is no file {file}.", "Check the path.")
    spells = _speller(config)
    if spells is None:
        what = f"no model for {config.language} is on this machine (asr.model: {config.asr.model})"
        click.echo(f"not checked: whether the speech model can write the words: {what}", err=True)
    registry = load_tools(config)
    found = check_sentences(
        files or [Path(file) for file in config.intents.sentences],
        config.language,
        builtin=config.intents.builtin,
        intents={intent for tool in registry.tools.values() for intent in tool.intents} | ANSWERS,
        tool_sentences=registry.sentences(config.language),
        spells=spells,
    )
    for file, line, notice in found:
        if as_json:
            place = {"file": str(file), "line": line}
            echo_json(place | {"code": notice.code, "level": notice.level, "what": notice.what, "todo": notice.todo})
        else:
            click.echo(f"{notice.level}: {file}:{line}: {notice.what} {notice.todo} [{notice.code}]")
    if not found and not as_json:
        click.echo("ok")
    if any(notice.level != "info" for *_, notice in found):
        ctx.exit(int(ExitCode.USAGE))


def _speller(config: Config) -> Callable[[str], bool] | None:
    """Whether the configured speech model can write a word; null where no model of the language is on this machine."""
    name = config.asr.model
    try:
        if is_folder(name):
            folder = Path(name).expanduser()
        else:
            catalogue = Catalogue.load()
            check_language(catalogue.get(name), config.language, catalogue)
            folder = paths.models_dir(config) / name
        table = TokenTable.read(folder / _TOKENS)
    except AgentboxError:
        return None
    # Where there are thousands of letters, models write the rarer ones in bytes as a matter of course.
    return Speller(table).knows if is_spaced(config.language) else lambda _: True
