"""Everything that understands and acts, as one thing that can be replaced while the box runs: a reload makes a new
mind and lets the old one go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agentbox.asr.catalogue import Catalogue
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.asr.load import is_folder
from agentbox.caches import digest
from agentbox.config import Config
from agentbox.daemon.conversation import Conversation
from agentbox.daemon.hotwords import gather
from agentbox.daemon.keys import credentials_of
from agentbox.daemon.questions import ANSWER
from agentbox.errors import AgentboxError
from agentbox.intents.check.files import files_in
from agentbox.intents.understand import Understander
from agentbox.intents.written_in import written_in
from agentbox.languages import likeliest, primary
from agentbox.messages import JSON, Notice, Reply
from agentbox.paths import cache_dir, page_sentences
from agentbox.tools.isolation import HungError, PluginError
from agentbox.tools.phrases import Phrases, spoken_language
from agentbox.tools.phrases.owner import owner_replies
from agentbox.tools.policy import Policies
from agentbox.tools.registry import Registry, unknown_options
from agentbox.tools.runner import Runner
from agentbox.tools.store import Store
from agentbox.tools.time_source import SystemClock

_log = logging.getLogger(__name__)

YES_OR_NO = frozenset({"AgentboxYes", "AgentboxNo"})

ANSWERS = YES_OR_NO | {ANSWER}
"""Intents that no tool serves: the turn itself takes them as the answer to its question."""

RESTART_S = 5.0
"""Wait before a tool's background service that failed is started again."""


class Tongue(NamedTuple):
    """A language (BCP-47) that may be spoken to the box, and the sentences in it."""

    language: str
    understander: Understander
    heard: bool = True
    """Whether the speech model knows it; else it can only be typed."""
    made_of: str | None = None
    """A name for all that the sentences were made of; null where a file of them could not be read."""


@dataclass(frozen=True, slots=True)
class Mind:
    """What a turn needs to understand and to act."""

    tongues: tuple[Tongue, ...]
    """The box's own language first."""
    runner: Runner
    hotwords: HotwordIndex | None = None
    """The owner's names and terms; null where nothing is heard."""

    @property
    def language(self) -> str:
        """The box's own, as BCP-47."""
        return self.tongues[0].language

    @property
    def understander(self) -> Understander:
        """Of the box's own language."""
        return self.tongues[0].understander

    def in_language(self, language: str) -> Tongue:
        """The box's own where it does not know `language`."""
        return next((tongue for tongue in self.tongues if tongue.language == language), self.tongues[0])

    def likeliest(self, text: str, heard: str | None = None, asked: str = "") -> tuple[Tongue, ...]:
        """All languages, the one that `text` is likeliest in first (see `languages.likeliest`)."""
        found = likeliest(text, [tongue.language for tongue in self.tongues], heard=heard, asked=asked)
        return tuple(map(self.in_language, found))


@contextlib.asynccontextmanager
async def open_mind(
    config: Config,
    stores: Callable[[str], Store],
    emit: Callable[[Reply | Notice], None],
    conversation: Conversation,
    *,
    services: bool = True,
    before: Sequence[Tongue] = (),
) -> AsyncIterator[Mind]:
    """Load tools and sentences and run the tools' background services until the block ends.

    What is broken is told through `emit` and left out. `services` false: only answer calls; nothing rings. `before`:
    of the mind whose place this one takes; sentences that are still the same are not made again.
    """
    registry, tongues, phrases, problems, hotwords = await asyncio.to_thread(_load, config, services, before)
    runner = Runner(
        registry,
        config.tools,
        language=config.language,
        phrases=phrases[config.language],
        other_phrases=phrases,
        language_of=conversation.language_of,
        persona=config.persona,
        clock=SystemClock(),
        stores=stores,
        emit=emit,
        conversation=conversation.of,
    )
    for problem in problems:
        emit(problem)
    async with runner, contextlib.AsyncExitStack() as stack:
        for name, life in runner.services().items() if services else ():
            task = asyncio.create_task(_keep_alive(name, life), name=f"service-{name}")
            stack.push_async_callback(_end, task)
        yield Mind(tongues, runner, hotwords)


def load_phrases(config: Config) -> tuple[dict[str, Phrases], list[Notice]]:
    """What the box says, by language, and what of the owner's wording it cannot say: that is in the box's own."""
    own: dict[str, str] = {}
    problems: list[Notice] = []
    if config.speech.replies is not None:
        own, problems = owner_replies(Path(config.speech.replies), spoken_language(config.language))
    manner = config.persona.manner
    phrases = {one: Phrases(one, manner, own if one == config.language else None) for one in config.languages}
    return phrases, problems


def load_tools(config: Config) -> Registry:
    """All tools of the configuration. A plugin's code runs here for the first time."""
    names = [backend.name for backend in config.cloud.backends] if config.cloud.is_wanted else []
    return Registry.load(config.tools, credentials_of(config), names)


def sentence_paths(config: Config) -> list[Path]:
    """The owner's files of sentences and folders of them: the configuration's, then what was written on the page."""
    configured = [Path(file) for file in config.intents.sentences]
    page = page_sentences()
    return [*configured, page] if page.is_file() and page not in files_in(configured) else configured


def files_of(
    config: Config, language: str, files: Sequence[Path], edited: Mapping[Path, str] | None = None
) -> list[Path]:
    """Of files of sentences and folders of them those for `language`, one of the configuration's. A file that names
    none of these is the box's own language's. `edited`: files with the text that is to be in them."""
    if len(config.languages) < 2:
        return list(files)
    known = {primary(one): one for one in config.languages}
    texts = edited or {}
    named = {file: written_in(file, texts.get(file)) for file in files_in(files)}
    return [file for file, tag in named.items() if known.get(tag or "", config.language) == language]


def served(registry: Registry) -> set[str]:
    """The intents that the box can carry out."""
    return {intent for tool in registry.tools.values() for intent in tool.intents} | ANSWERS


class _Ingredients(NamedTuple):
    """What an `Understander` is made of."""

    language: str
    builtin: bool
    owner_files: list[Path]
    intents: set[str]
    likeness: float
    tool_sentences: Mapping[str, JSON]

    def made(self, cache: Path | None = None) -> Understander:
        return Understander(**self._asdict(), cache=cache or cache_dir())

    def name(self) -> str | None:
        """The same for the same sentences, those in the owner's files too; null where one of these cannot be read."""
        rest = self._replace(owner_files=[], intents=set())
        parts = [msgspec.json.encode((rest, sorted(self.intents)), order="sorted", enc_hook=str)]
        try:
            for file in files_in(self.owner_files):
                parts += [bytes(file), file.read_bytes()]
        except OSError:
            return None
        return digest(*parts)


def _ingredients(config: Config, registry: Registry, language: str) -> _Ingredients:
    """For what the box can do, in one of the configuration's languages."""
    return _Ingredients(
        language,
        builtin=config.intents.builtin,
        owner_files=files_of(config, language, sentence_paths(config)),
        intents=served(registry),
        likeness=config.intents.likeness,
        tool_sentences=registry.sentences(language),
    )


def make_understander(
    config: Config, registry: Registry, extra_files: Sequence[Path] = (), cache: Path | None = None
) -> Understander:
    """The sentences for what the box can do, in its own language. `extra_files`: sentences besides those of the
    configuration; one in another language is a problem. `cache`: another folder than the usual one."""
    found = _ingredients(config, registry, config.language)
    return found._replace(owner_files=[*found.owner_files, *extra_files]).made(cache)


def make_understanders(config: Config, registry: Registry) -> list[Understander]:
    """The same for each language of the configuration, its own first."""
    return [_ingredients(config, registry, language).made() for language in config.languages]


def _make_tongue(config: Config, registry: Registry, language: str, before: Sequence[Tongue]) -> Tongue:
    """With the very sentences of `before` where they are still the same: to read all of them takes a second, and so
    does what the speech model is told of them."""
    ingredients = _ingredients(config, registry, language)
    name = ingredients.name()  # first: what changes from here on counts at the next reload
    same = next((one.understander for one in before if name is not None and one.made_of == name), None)
    heard = language == config.language or hears(config, language)
    return Tongue(language, same or ingredients.made(), heard, name)


def only_sentences(language: str, files: Sequence[Path]) -> Understander:
    """The sentences of `files` and no others, whatever the box can carry out."""
    understander = Understander(language, builtin=False, ours=False, owner_files=files, intents=(), cache=cache_dir())
    unserved = "sentences_intent_unknown"  # that nothing carries them out is no problem here
    understander.problems = [problem for problem in understander.problems if problem.code != unserved]
    return understander


def problems_of(
    config: Config, registry: Registry, understanders: Iterable[Understander], unsaid: Sequence[Notice]
) -> list[Notice]:
    """What in the tools, the sentences, the names, the replies (`unsaid`: as `load_phrases` tells) and what the
    configuration says of them is left out, and why."""
    every = list(understanders)
    return [
        *unheard(config),
        *registry.problems,
        *(problem for one in every for problem in one.problems),
        *gather(config, every)[1],
        *unsaid,
        *Policies(config.tools.policy).problems(registry.tools),
        *unknown_options(config.tools.options, registry),
    ]


def unheard(config: Config) -> list[Notice]:
    """Languages that can only be typed, for the speech model does not know them."""
    return [
        Notice(
            code="model_language",
            what=f"The model {config.asr.model} does not know the language {language}: it is understood only typed.",
            todo=f"Set asr.model to one that knows it too (agentbox models list), or take {language} out of "
            "asr.other_languages.",
            level="info",
        )
        for language in config.languages[1:]
        if not hears(config, language)
    ]


def hears(config: Config, language: str) -> bool:
    """Whether the speech model knows `language`, as far as anybody can tell: typed words need no model."""
    if is_folder(config.asr.model):
        return True
    try:
        return Catalogue.load().get(config.asr.model).speaks(language)
    except AgentboxError:
        return True  # told where the model is loaded


class _Loaded(NamedTuple):
    registry: Registry
    tongues: tuple[Tongue, ...]
    phrases: dict[str, Phrases]
    problems: list[Notice]
    hotwords: HotwordIndex | None


def _load(config: Config, speech: bool, before: Sequence[Tongue]) -> _Loaded:
    registry = load_tools(config)
    tongues = tuple(_make_tongue(config, registry, language, before) for language in config.languages)
    understanders = [tongue.understander for tongue in tongues]
    for tongue in tongues if speech else ():
        if tongue.heard:
            # The graph of all sentences takes some 0.3 s to make: not in the loop, when the first words are heard.
            _ = tongue.understander.spoken.grammar
    hotwords = HotwordIndex(gather(config, understanders)[0]) if speech else None
    phrases, unsaid = load_phrases(config)
    # Here too: a file of names may be long, or lie on a disk that is slow.
    problems = problems_of(config, registry, understanders, unsaid)
    return _Loaded(registry, tongues, phrases, problems, hotwords)


async def _keep_alive(name: str, life: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service for ever; one that fails is started again after a pause."""
    while True:
        try:
            await life()
        except (PluginError, HungError, AgentboxError) as error:
            _log.warning("the service of %s stopped: %s", name, error)
        await asyncio.sleep(RESTART_S)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
