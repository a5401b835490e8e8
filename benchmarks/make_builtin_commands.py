"""Spoken commands across all built-in tools, in synthetic voices: makes the set OUT/builtin.

    python -m benchmarks.make_builtin_commands OUT [--voice NAME]...

What is said and what it means stands in builtin-commands-en.yaml, written and read by people. espeak is no voice for
this: what it says, the speech model mishears where it hears people well. A clip that is there already is kept, so a run
that was cut off can go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from agentbox.config import Config
from agentbox.daemon.mind import load_tools, make_understander
from agentbox.errors import InputError
from agentbox.intents.understand import Understander
from benchmarks.sets import Clip, SpeechSet, read_commands, rightly_understood
from benchmarks.voices import load_voice, missing, speak_once

COMMANDS = Path(__file__).parent / "builtin-commands-en.yaml"

VOICES = ("hibari", "joe", "kokoro-am_michael", "kokoro-bf_emma")


def builtin_understander() -> Understander:
    """The sentences of a box without a configuration."""
    config = Config()
    return make_understander(config, load_tools(config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--voice", action="append", help=f"default: those of {', '.join(VOICES)} that are installed")
    given = parser.parse_args()
    voices = given.voice or [name for name in VOICES if not missing(name)]
    if len(voices) < 2:
        raise InputError("extra_missing", "Two voices are needed.", f"Run: {missing('hibari') or missing('joe')}")
    commands = rightly_understood(
        read_commands(yaml.safe_load(COMMANDS.read_text(encoding="utf-8"))), builtin_understander()
    )
    spoken = SpeechSet(given.out / "builtin")
    for name in voices:
        speak = load_voice(name)
        for command in commands:
            clip_name = f"{command.text}_{name}"
            sound = speak_once(spoken.path(clip_name), speak, command.text)
            spoken.add(Clip(clip_name, sound, command.text, f"voice {name}", "synthetic", command))
    spoken.close()


if __name__ == "__main__":
    main()
