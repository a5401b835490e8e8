"""What a Whisper model's tokens mean: its pieces of text, its marks, its languages, and which it must not write.

Read from the files that are published beside the graphs: tokenizer.json (pieces, merges, marks), generation_config.json
(or, where there is none, config.json: what is suppressed) and config.json (sizes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from agentbox.asr.bpe import Bpe
from agentbox.errors import ModelError

FILES = ("tokenizer.json", "generation_config.json", "config.json")
"""Of these a model needs the first."""

START = "<|startoftranscript|>"
TIME_STEP_MS = 20
"""From one mark of time to the next."""

TIMES = 1501
"""How many marks of time a model has: to half a minute."""

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_WORD = re.compile(r"_?L+|_?N+|_?O+|[_SR]+(?![^_SR])|[_SR]+")
_CONTRACTION = re.compile(r"'(?:s|t|re|ve|m|ll|d)")
_BCP_47 = {"jw": "jv"}
"""Where Whisper's name of a language is another."""

_File = TypeVar("_File")


class _Added(msgspec.Struct):
    id: int
    content: str


class _Pieces(msgspec.Struct):
    vocab: dict[str, int]
    merges: list[str | list[str]]


class _Tokenizer(msgspec.Struct):
    model: _Pieces
    added_tokens: list[_Added]


class _Config(msgspec.Struct):
    """Of config.json or generation_config.json."""

    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    max_initial_timestamp_index: int | None = None
    is_multilingual: bool | None = None
    num_mel_bins: int = 80
    max_target_positions: int = 448


class WhisperBpe(Bpe):
    """The same merging as Qwen's, of words cut as GPT-2 cuts them: numbers whole, no mark of punctuation before a
    word."""

    contraction = _CONTRACTION
    word = _WORD

    def normal(self, text: str) -> str:
        return text


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The numbers of a model's tokens."""

    pieces: WhisperBpe
    start: int
    end: int
    transcribe: int | None
    no_timestamps: int
    previous: int | None
    """Comes before what was said earlier."""
    no_speech: int | None
    languages: dict[str, int]
    """By BCP-47; empty for a model that knows English alone."""
    suppressed: tuple[int, ...]
    """Never written: what is no speech (brackets, notes of music), and marks."""
    begin_suppressed: tuple[int, ...]
    """Not written at the very beginning."""
    latest_first_time: int
    """The first mark of time may be at most this one."""
    mel_bands: int
    positions: int
    """How many tokens there may be, with those before the text."""

    @property
    def first_time(self) -> int:
        """The mark for 0.00 s; all from it on are times."""
        return self.no_timestamps + 1

    def language_of(self, tag: str) -> int | None:
        """The mark of a language (BCP-47: `zh-CN` is `zh`), null where the model does not know it."""
        return self.languages.get(tag.split("-")[0].lower())

    @classmethod
    def read(cls, folder: Path) -> Vocabulary:
        """Raises `ModelError` `model_damaged`."""
        tokenizer = _read(folder / FILES[0], _Tokenizer)
        sizes = _read(folder / FILES[2], _Config, _Config())
        rules = _read(folder / FILES[1], _Config, sizes)
        marks = {token.content: token.id for token in tokenizer.added_tokens}
        try:
            vocab = {piece: token for piece, token in tokenizer.model.vocab.items() if piece not in marks}
            merges = (pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer.model.merges)
            pieces = WhisperBpe(vocab, merges, marks)
            start, end, no_timestamps = (marks[name] for name in (START, "<|endoftext|>", "<|notimestamps|>"))
        except (KeyError, ValueError) as error:
            raise _damaged(folder / FILES[0]) from error
        named = ((_LANGUAGE.fullmatch(name), token) for name, token in marks.items())
        languages = {_BCP_47.get(found[1], found[1]): token for found, token in named if found is not None}
        # An English model has the marks too, but was not trained with them. It has one piece less.
        multilingual = rules.is_multilingual if rules.is_multilingual is not None else end != _END_OF_ENGLISH
        return cls(
            pieces=pieces,
            start=start,
            end=end,
            transcribe=marks.get("<|transcribe|>") if multilingual else None,
            no_timestamps=no_timestamps,
            previous=marks.get("<|startofprev|>"),
            no_speech=marks.get("<|nospeech|>", marks.get("<|nocaptions|>")),
            languages=languages if multilingual else {},
            suppressed=_given(rules.suppress_tokens, sizes.suppress_tokens),
            begin_suppressed=_given(rules.begin_suppress_tokens, sizes.begin_suppress_tokens),
            latest_first_time=50 if rules.max_initial_timestamp_index is None else rules.max_initial_timestamp_index,
            mel_bands=sizes.num_mel_bins,
            positions=sizes.max_target_positions,
        )


_END_OF_ENGLISH = 50256


def is_whisper(folder: Path) -> bool:
    """Whether the tokenizer in `folder` is a Whisper model's."""
    try:
        return START.encode() in (folder / FILES[0]).read_bytes()
    except OSError:
        return False


def _given(*lists: list[int] | None) -> tuple[int, ...]:
    """The first list that is there. -1 stands for what the tokenizer's makers call no speech; those are listed too."""
    found = next((one for one in lists if one is not None), [])
    return tuple(token for token in found if token >= 0)


def _read(file: Path, kind: type[_File], otherwise: _File | None = None) -> _File:
    if otherwise is not None and not file.is_file():
        return otherwise
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> ModelError:
    return ModelError(
        "model_damaged",
        f"{file} cannot be read as a Whisper model's.",
        "Fetch this file again from where the model came from.",
    )
