"""Which of a half-duplex vendor's answers is wanted, and which is a late one that nobody wants any more. Pure.

A turn is a question with an id, and its answer has another one. Both are told late: the question's when its first
word was understood (or the written turn was confirmed), the answer's with its first sentence. Sound has neither.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerDone, AnswerSound, AnswerStarted, AnswerText, Event
from agentbox.realtime.session import text_of

Message = dict[str, JSON]

_MOST_IDS = 256
"""Ids kept, and characters of each."""
_MOST_TEXT = 20_000
"""Characters kept of what one answer says."""


class Replies:
    """The answer to one turn at a time."""

    def __init__(self) -> None:
        self.is_awaited = False
        """An answer was asked for and has not ended."""
        self.reply_id = ""
        """The vendor's name for the answer, as long as the owner may be hearing it."""
        self.sound_bytes = 0
        self._unnamed: deque[bool] = deque(maxlen=_MOST_IDS)
        """Turns whose question has no name yet, and whether their answers are wanted."""
        self._question = ""
        self._is_named = False
        """The spoken turn has its name."""
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._turns = 0
        self._active = ""
        self._plays = False
        """The sound that comes belongs to the answer that is wanted."""
        self._odd = b""
        self._said = ""
        self._has_words = False

    def asked(self) -> None:
        """A turn begins."""
        self._turns += 1
        self._unnamed.append(True)

    def awaited(self) -> None:
        """A turn is over: its answer comes next."""
        self.is_awaited = True
        self.reply_id, self.sound_bytes = "", 0

    def forget_speech(self) -> None:
        """The turn that is open will not be ended."""
        if self._unnamed and not self._is_named:
            self._unnamed.pop()
        self._is_named = False

    def drop(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self._kill(self.reply_id)
        self._kill(self._question)
        self._unnamed = deque((False for _ in self._unnamed), maxlen=_MOST_IDS)
        self._question = ""
        self.is_awaited = False
        self._close()

    def reset(self) -> None:
        """Another session: nothing of the one before will come."""
        self.drop()
        self._unnamed.clear()
        self._is_named = False
        self.reply_id = ""

    def named(self, question: str, *, spoken: bool = False) -> list[Event]:
        """The vendor gave a turn's question its name."""
        self._is_named = self._is_named or spoken
        question = question[:_MOST_IDS]
        if question in self._dead or (question and question == self._question):
            return []
        if not self._unnamed or self._unnamed.popleft():
            self._question = question
        else:
            self._kill(question)
        return []

    def speech_ended(self) -> None:
        """Of a spoken turn; one without words got no name."""
        if not self._is_named and self._unnamed:
            self._unnamed.popleft()
        self._is_named = False

    def told(self, message: Message, words: str) -> list[Event]:
        """Words of an answer."""
        events = self._begun(message)
        if events is None or not words:
            return events or []
        self._has_words = True
        return [*events, AnswerText(self._active, words)]

    def sentence(self, message: Message, words: str) -> list[Event]:
        """A sentence's sound begins, and it says this."""
        events = self._begun(message)
        self._plays = events is not None
        if events is None:
            return []
        self._said = (self._said + words)[:_MOST_TEXT]
        return events

    def sound(self, pcm: bytes) -> list[Event]:
        """Of the sentence that began last; a sample may be cut in two."""
        if not self._plays:
            return []
        pcm = self._odd + pcm
        even = len(pcm) // 2 * 2
        pcm, self._odd = pcm[:even], pcm[even:]
        self.sound_bytes += even
        return [AnswerSound(self._active, pcm)] if pcm else []

    def ended(self, message: Message) -> list[Event]:
        """The sound is complete; words that come later are of no use."""
        events = self._begun(message)
        if events is None:
            return []
        if self._said and not self._has_words:
            events.append(AnswerText(self._active, self._said))  # some answers are told by their sentences alone
        events.append(AnswerDone(self._active, "completed"))
        self._kill(self.reply_id)
        self._kill(self._question)
        self._question = ""
        self.is_awaited = False
        self._close()
        return events

    def _begun(self, message: Message) -> list[Event] | None:
        """What tells that an answer begins, if it does with this event; null where nobody wants it."""
        question, reply = (text_of(message, key)[:_MOST_IDS] for key in ("question_id", "reply_id"))
        if question in self._dead or reply in self._dead:
            return None
        if not self.is_awaited:
            self._kill(question)
            self._kill(reply)
            return None
        if question and self._question and question != self._question:
            return None
        self.reply_id = reply or self.reply_id
        if self._active:
            return []
        self._active = reply or f"answer_{self._turns}"
        return [AnswerStarted(self._active)]

    def _close(self) -> None:
        self._active, self._plays, self._odd, self._said, self._has_words = "", False, b"", "", False

    def _kill(self, name: str) -> None:
        if name:
            self._dead[name] = None
        while len(self._dead) > _MOST_IDS:
            self._dead.popitem(last=False)
