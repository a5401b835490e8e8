"""`agentbox config`: is the configuration right, and where does each value come from."""

from __future__ import annotations

import click
import msgspec
import yaml

from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.daemon.changeable import flat, source_of
from agentbox.daemon.checks import problems
from agentbox.daemon.mind import load_phrases
from agentbox.errors import ExitCode
from agentbox.settings import Loaded, masked


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration."""


@config.command()
@with_config
@with_json
@click.pass_context
def check(ctx: click.Context, loaded: Loaded, as_json: bool) -> None:
    """Say whether the configuration can be used: the file, the files of sentences it names, the plugins,
    and whether the speech model knows the language (`agentbox models verify` looks at its files).

    Exit code 2 and the place of each mistake if not.

    \b
    Example:
      agentbox config check --config config.example.yaml
    """
    found = list(problems(loaded.config))
    file = str(loaded.file) if loaded.file else None
    if as_json:
        echo_json({"ok": not found, "file": file, "problems": [msgspec.to_builtins(one) for one in found]})
    else:
        for problem in found:
            click.echo(f"{problem.level}: {problem.what} {problem.todo} [{problem.code}]")
        if not found:
            click.echo(f"ok: {file or 'no file, the defaults are used'}")
    if found:
        ctx.exit(int(ExitCode.USAGE))


@config.command()
@with_config
@with_json
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every value in force and the file that set it; secrets are masked.

    \b
    Example:
      agentbox config show
    """
    for key, value in flat(masked(loaded.config)):
        source = source_of(key, loaded.sources) or "default"
        if as_json:
            echo_json({"key": key, "value": value, "source": source})
        else:
            click.echo(f"{key} = {value}   ({source})")


@config.command()
@with_config
def replies(loaded: Loaded) -> None:
    """Print every sentence that the box says, as YAML to be changed: docs/replies.md.

    \b
    Example:
      agentbox config replies > replies.yaml
    """
    phrases, problems = load_phrases(loaded.config)
    for problem in problems:
        click.echo(f"{problem.what} [{problem.code}]", err=True)
    sentences = dict(phrases[loaded.config.language].sentences)
    click.echo(yaml.safe_dump(sentences, allow_unicode=True, sort_keys=False, width=1000), nl=False)
