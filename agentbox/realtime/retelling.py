"""Forgetting what was not heard, where a vendor has no word for it but lets parts of the conversation be deleted and
written: the answer that was broken off is replaced by the words of it that were heard.
"""

from __future__ import annotations

import math
from typing import ClassVar

from agentbox.realtime.events import AnswerText, Event
from agentbox.realtime.like_openai import Dialog, Message
from agentbox.realtime.session import Account, Capabilities, Setup, text_of

_MOST_WORDS = 20_000
"""Characters kept of one part of an answer."""

_MOST_PARTS = 64
"""Parts of a turn's answers whose words are kept."""


def heard_words(words: str, share: float) -> str:
    """The words of an answer of whose sound this share was heard (0 to 1), with a sign that there was more. Sound runs
    through the words about evenly; a word that was begun does not count, where words are written apart."""
    end = int(len(words) * min(max(share, 0.0), 1.0))
    if end >= len(words):
        return words
    heard = words[:end]
    if " " in words:
        heard = heard[: heard.rfind(" ") + 1]
    return f"{heard.strip()}…" if heard.strip() else ""


class RetellingDialog(Dialog):
    """A dialog whose `truncate` deletes and writes parts of the conversation."""

    written_as: ClassVar[str] = "text"
    """The type of a written part of the assistant's."""

    def __init__(self, account: Account, setup: Setup, capabilities: Capabilities) -> None:
        super().__init__(account, setup, capabilities)
        self._words: dict[str, str] = {}

    def interrupt(self, heard_ms: float) -> None:
        silent = [one for one in self._words if not self._answers.length_ms(one)]
        super().interrupt(heard_ms)
        if self.capabilities.truncates and not math.isinf(heard_ms):
            for item_id in silent:  # words come before their sound: of what has none yet nothing was heard
                self.truncate(item_id, 0)
        self._words.clear()

    def truncate(self, item_id: str, heard_ms: int) -> None:
        self._send("conversation.item.delete", harmless=True, item_id=item_id)
        length_ms = self._answers.length_ms(item_id)
        heard = heard_words(self._words.get(item_id, ""), heard_ms / length_ms if length_ms else 0.0)
        if heard:
            content = [{"type": self.written_as, "text": heard}]
            item: Message = {"type": "message", "role": "assistant", "content": content}
            self._send("conversation.item.create", harmless=True, item=item)

    def _begin(self) -> None:
        super()._begin()
        self._words.clear()

    def _on_words(self, message: Message) -> list[Event]:
        events = super()._on_words(message)
        item_id = text_of(message, "item_id")
        for event in events:
            if isinstance(event, AnswerText) and (item_id in self._words or len(self._words) < _MOST_PARTS):
                self._words[item_id] = (self._words.get(item_id, "") + event.more)[:_MOST_WORDS]
        return events
