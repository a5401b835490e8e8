"""Saying texts of any length."""

from __future__ import annotations

import threading
from contextlib import aclosing

import numpy as np
import pytest

from agentbox.errors import ModelError
from agentbox.tts.engine import Samples
from agentbox.tts.hibari import HibariVoice
from agentbox.tts.narrator import Narrator

TEXT = "The first sentence. The second one. And the third!"


class Counting:
    """A voice that says each letter as a sample, and tells what it was asked for."""

    name = "counting"
    languages: tuple[str, ...] = ("en",)
    sample_rate_hz = 16_000

    def __init__(self) -> None:
        self.said: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = False

    def say(self, text: str, pace: float = 1.0) -> Samples:
        self.go_on.wait(10)
        self.said.append(text)
        if text == "Bad!":
            raise ModelError("voice_failed", "It does not work.")
        return np.array([ord(letter) for letter in text if text != "..."], dtype=np.int16)

    def close(self) -> None:
        self.closed = True


async def said(narrator: Narrator, text: str) -> str:
    return "|".join(["".join(map(chr, sound)) async for sound in narrator.say(text)])


async def test_pieces_come_in_order_and_are_remembered() -> None:
    voice = Counting()
    narrator = Narrator(voice, "en")
    assert await said(narrator, TEXT) == "The first sentence.|The second one.|And the third!"
    assert await said(narrator, "And the third! The first sentence.") == "And the third!|The first sentence."
    assert len(voice.said) == 3
    assert await said(narrator, "") == ""
    await narrator.close()
    assert voice.closed


async def test_what_is_remembered_has_a_bound() -> None:
    voice = Counting()
    narrator = Narrator(voice, "en", remembered_bytes=2 * 12)
    for _ in range(2):
        await said(narrator, "One two. Three.")
    assert voice.said == ["One two.", "Three."] * 2  # the longer one drove the shorter one out, and so on
    voice.said.clear()
    await said(narrator, "One. Two. One. Two.")
    assert voice.said == ["One.", "Two."]
    await narrator.close()


async def test_the_next_piece_is_made_while_the_last_one_is_heard_and_no_more() -> None:
    voice = Counting()
    narrator = Narrator(voice, "en")
    async with aclosing(narrator.say(TEXT)) as saying:
        await anext(saying)
    await narrator.close()
    assert "And the third!" not in voice.said


async def test_closing_ends_what_is_being_said() -> None:
    voice = Counting()
    narrator = Narrator(voice, "en")
    saying = narrator.say(TEXT)
    assert (await anext(saying)).size
    await narrator.close()
    assert sum([1 async for _ in saying]) <= 1
    assert await said(narrator, TEXT) == ""


async def test_an_error_ends_the_text_and_not_the_narrator() -> None:
    narrator = Narrator(Counting(), "en")
    with pytest.raises(ModelError, match="does not work"):
        await said(narrator, "Good. Bad! Not reached.")
    assert await said(narrator, "Fine.") == "Fine."
    await narrator.close()


async def test_signs_are_said_as_words(voice: HibariVoice) -> None:
    narrator = Narrator(voice, "en")
    euros, words = [[sound async for sound in narrator.say(text)] for text in ("It is 5 €.", "It is 5 euros.")]
    np.testing.assert_array_equal(np.concatenate(euros), np.concatenate(words))
