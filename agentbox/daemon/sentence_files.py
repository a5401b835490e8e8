"""The owner's files of sentences: which there are, what is wrong with one, and a new version of it, written whole."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agentbox import paths
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.load import check_language, is_folder
from agentbox.asr.tokens import TokenTable
from agentbox.config import Config
from agentbox.daemon.mind import files_of, sentence_paths, served
from agentbox.errors import AgentboxError, InputError
from agentbox.files import replace_file
from agentbox.intents.check.check import check
from agentbox.intents.check.files import Finding, files_in
from agentbox.speech_grammar import is_spaced
from agentbox.tools.registry import Registry

MOST_BYTES = 256 << 10
_TOKENS = "tokenizer.bin"


class SentenceFile(NamedTuple):
    """One that may be edited."""

    id: str
    """Its name; a second one of that name is `orders.yaml~2`. What is asked for is looked up by it: no path comes from
    a page."""
    path: Path
    is_page: bool
    """The page's own, which need not be there yet."""

    @property
    def is_writable(self) -> bool:
        """Whether it can be replaced, and its former version kept beside it."""
        real = self.path.resolve()
        return self.is_page or (os.access(real.parent, os.W_OK) and os.access(real, os.W_OK))


def files(config: Config) -> list[SentenceFile]:
    """Those that the configuration names, in its order, and the page's own."""
    page = paths.page_sentences()
    found = [*files_in([Path(file) for file in config.intents.sentences])]
    seen: Counter[str] = Counter()
    made = []
    for path in dict.fromkeys([*found, page]):
        seen[path.name] += 1
        count = seen[path.name]
        made.append(SentenceFile(path.name if count == 1 else f"{path.name}~{count}", path, path == page))
    return made


def find(config: Config, file: str) -> SentenceFile:
    """The file with this id. Raises `InputError` `sentences_unknown`."""
    for one in files(config):
        if one.id == file:
            return one
    raise InputError("sentences_unknown", "There is no such file of sentences.", "intents.sentences names the files.")


def read(file: SentenceFile) -> str:
    """Its text; empty for the page's own before there is one. Raises `InputError` `sentences_not_text`."""
    if file.is_page and not file.path.exists():
        return ""
    try:
        data = file.path.read_bytes()
        if len(data) > MOST_BYTES:
            raise InputError("sentences_too_long", _too_long(file.id), "Edit it on the box, or make two of it.")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            "sentences_not_text", f"{file.id} cannot be read: {reason}.", "Look at it on the box."
        ) from error


def version(text: str) -> str:
    """What tells one version of a text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(file: SentenceFile, text: str, before: str) -> None:
    """Put `text` in place of the version `before`, which is kept beside it (`.bak`): the file is replaced at once or
    not at all. A link stays one, and the file's mode as it was.

    Raises `InputError` `sentences_changed` where another version stands there by now, `sentences_too_long`,
    `sentences_unwritable`, and as `read` does.
    """
    if len(text.encode()) > MOST_BYTES:
        raise InputError("sentences_too_long", _too_long(file.id), "Make two files of it.")
    former = read(file)
    if version(former) != before:
        raise InputError(
            "sentences_changed", f"{file.id} was changed by somebody else meanwhile.", "Load it anew, and edit that."
        )
    real = file.path.resolve()
    try:
        if file.is_page:
            real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
        if real.exists():
            replace_file(real.with_name(f"{real.name}.bak"), former.encode(), mode)
        replace_file(real, text.encode(), mode)
    except OSError as error:
        raise InputError(
            "sentences_unwritable",
            f"{file.id} cannot be written: {error.strerror}.",
            "Edit it on the box, or write into the page's own file.",
        ) from error


def _too_long(file: str) -> str:
    return f"{file} has more than {MOST_BYTES >> 10} KiB."


def findings(
    config: Config,
    registry: Registry,
    looked_at: Sequence[Path],
    spells: Callable[[str], bool] | None,
    edited: Mapping[Path, str] | None = None,
) -> list[Finding]:
    """What is wrong, or worth knowing, in files of sentences (or folders of them). Takes up to some seconds.

    `edited`: files with the text that is to be in them; `spells`: see `speller`.
    """
    found: list[Finding] = []
    for language in config.languages:
        found += check(
            files_of(config, language, looked_at, edited),
            language,
            builtin=config.intents.builtin,
            intents=served(registry),
            tool_sentences=registry.sentences(language),
            spells=spells if language == config.language else speller(config.in_language(language)),
            edited=edited,
        )
    return found


def findings_in(config: Config, registry: Registry, file: SentenceFile, text: str) -> list[Finding]:
    """The same for one file beside all others, as if `text` were in it: what concerns that file."""
    others = sentence_paths(config)
    every = others if file.path in files_in(others) else [*others, file.path]
    found = findings(config, registry, every, speller(config), {file.path: text})
    return [one for one in found if one.file == file.path or str(file.path) in one.notice.what]


def speller(config: Config) -> Callable[[str], bool] | None:
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
