"""What was said in a sound file, written as text, as subtitles (SubRip, WebVTT) and as JSON, segment by segment."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, TypeAlias

from agentbox.daemon.long import Segment, is_unspaced, split_words
from agentbox.messages import JSON

Format: TypeAlias = Literal["txt", "srt", "vtt", "json"]

LINE_LETTERS = 42
"""A line of a subtitle, and there are two: what television keeps to."""

LONGEST_S = 7.0
"""And so long it stands at most."""

SHORTEST_S = 1.0
"""A shorter one cannot be read: it stays longer, where nothing follows."""

_WIDE = 2.0
"""A Chinese character takes the room of two letters."""

Put: TypeAlias = Callable[[str], object]
"""Takes the next piece of the file."""


class Cue(NamedTuple):
    """One subtitle: seconds, and one or two lines."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


class Writer(Protocol):
    """Writes one file, segment by segment."""

    def begin(self) -> None: ...

    def segment(self, segment: Segment) -> None: ...

    def end(self, about: dict[str, JSON]) -> None:
        """`about`: what JSON tells of the whole."""
        ...


def make_writer(form: Format, put: Put) -> Writer:
    makers: dict[Format, Callable[[Put], Writer]] = {
        "txt": TextWriter,
        "srt": lambda put: CueWriter(put, "srt"),
        "vtt": lambda put: CueWriter(put, "vtt"),
        "json": JsonWriter,
    }
    return makers[form](put)


class TextWriter:
    """One line for each segment."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def begin(self) -> None:
        pass

    def segment(self, segment: Segment) -> None:
        self._put(f"{segment.text}\n")

    def end(self, about: dict[str, JSON]) -> None:
        pass


class CueWriter:
    """Subtitles. A cue is held back until the next is known, which may want its time."""

    def __init__(self, put: Put, form: Literal["srt", "vtt"]) -> None:
        self._put = put
        self._form = form
        self._number = 0
        self._held: Cue | None = None

    def begin(self) -> None:
        if self._form == "vtt":
            self._put("WEBVTT\n\n")

    def segment(self, segment: Segment) -> None:
        for cue in cues(segment):
            self._release(cue.start_s)
            self._held = cue

    def end(self, about: dict[str, JSON]) -> None:
        self._release(math.inf)

    def _release(self, next_s: float) -> None:
        if self._held is None:
            return
        start_s, end_s, lines = self._held
        end_s = max(start_s, min(max(end_s, start_s + SHORTEST_S), next_s))
        self._number += 1
        mark = "," if self._form == "srt" else "."
        text = "\n".join(lines)
        if self._form == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        else:  # SubRip can escape nothing, and this stands between times
            text = text.replace("-->", "→")
        self._put(f"{self._number}\n{_clock(start_s, mark)} --> {_clock(end_s, mark)}\n{text}\n\n")
        self._held = None


class JsonWriter:
    """One object: `segments`, then what is known at the end."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._texts: list[str] = []

    def begin(self) -> None:
        self._put('{"segments": [')

    def segment(self, segment: Segment) -> None:
        self._put(f"{',' if self._texts else ''}\n  {json.dumps(as_json(segment), ensure_ascii=False)}")
        self._texts.append(segment.text)

    def end(self, about: dict[str, JSON]) -> None:
        rest = json.dumps({"text": join(self._texts), **about}, ensure_ascii=False)
        self._put(f"\n], {rest[1:]}\n")


def as_json(segment: Segment) -> dict[str, JSON]:
    """`words` and what the model heard besides words only where it tells."""
    found: dict[str, JSON] = {
        "start_s": round(segment.start_s, 3),
        "end_s": round(segment.end_s, 3),
        "text": segment.text,
        "confidence": None if segment.confidence is None else round(segment.confidence, 4),
    }
    if segment.words:
        found["words"] = [{"text": word.text, "start_s": round(word.start_s, 3)} for word in segment.words]
    more = {"language": segment.language, "emotion": segment.emotion, "sound_event": segment.sound_event}
    return found | {name: value for name, value in more.items() if value is not None}


def join(texts: list[str]) -> str:
    """Texts that follow one another as one; none is empty."""
    joined = ""
    for text in texts:
        joined += f" {text}" if joined and not _run_on(joined[-1], text[0]) else text
    return joined


def _run_on(left: str, right: str) -> bool:
    """Whether no space belongs between two signs: in Chinese and Japanese, where neither is of another script."""
    own = [is_unspaced(sign) or "\u3000" <= sign <= "\u303f" or "\uff00" <= sign <= "\uffef" for sign in (left, right)]
    others = [sign for sign, is_own in zip((left, right), own, strict=True) if not is_own]
    return any(own) and not any(sign.isascii() or sign.isalnum() for sign in others)


def cues(segment: Segment) -> list[Cue]:
    """A segment as subtitles. Where the model does not tell when it heard a word, time is dealt out by letters."""
    split = split_words(segment.text)
    begins_s = [word.start_s for word in segment.words] if segment.words else _dealt(segment)
    begins_s.append(segment.end_s)
    found: list[Cue] = []
    first = 0
    while first < len(split):
        last = first + 1
        while last < len(split) and begins_s[last + 1] - begins_s[first] <= LONGEST_S:
            if len(_lines(segment.text, split[first : last + 1])) > 2:
                break
            last += 1
        last = _sentence_end(split, first, last)
        end_s = max(begins_s[first], begins_s[last])
        found.append(Cue(begins_s[first], end_s, _lines(segment.text, split[first:last])))
        first = last
    return found


def _sentence_end(words: list[tuple[int, str]], first: int, last: int) -> int:
    """Where to end a cue of the words from `first` to before `last`: there, or with a sentence that ends not far before
    it."""
    if last == len(words):
        return last
    ends = (at for at in range(last, first + (last - first) // 2, -1) if words[at - 1][1][-1] in ".?!。？！")
    return next(ends, last)


def _dealt(segment: Segment) -> list[float]:
    """When each word begins if each letter takes as long as any other."""
    letter_s = (segment.end_s - segment.start_s) / max(1, len(segment.text))
    return [segment.start_s + at * letter_s for at, _ in split_words(segment.text)]


def _lines(text: str, words: list[tuple[int, str]]) -> tuple[str, ...]:
    """The words of `text` on as many lines as it takes."""
    lines: list[str] = []
    begin = 0
    for at, word in words:
        longer = text[begin : at + len(word)]
        if lines and _width(longer) <= LINE_LETTERS:
            lines[-1] = longer
        else:
            lines.append(word)
            begin = at
    return tuple(lines)


def _width(text: str) -> float:
    return sum(1.0 if letter < "\u2e80" else _WIDE for letter in text)


def _clock(at_s: float, mark: str) -> str:
    ms = round(max(0.0, at_s) * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"
