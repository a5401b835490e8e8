"""Wake phrases in the inference thread: real recordings of four words, each listened for while another is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentbox.asr.engine import Recognition, Samples
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.wakeful import Wakeful
from tests.asr.conftest import DATA, read

WORDS = ("alexa", "computer", "jarvis", "snowboy")


def letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def wakeful(word: str) -> Wakeful:
    return Wakeful([word], 0.5, lambda text: letters(text).startswith(word))


def listen(listener: Listener, sound: Samples, watched: Wakeful) -> Recognition:
    """As the daemon does: a look whenever one is due, and the whole at the end."""
    for end in range(1536, sound.size, 1536):
        if watched.is_due(end):
            listener.look(sound[:end], watched, "en")
    return listener.hear(sound, language="en", wakeful=watched)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real recordings are not at {DATA}")
def test_the_word_is_heard_and_no_other(engine: Moonshine) -> None:
    listener = Listener(engine)
    heard = total = 0
    for word, other in zip(WORDS, (*WORDS[1:], WORDS[0]), strict=True):
        for file in sorted((DATA / "wake" / word).glob("*.flac"))[:5]:
            sound = read(file)
            found = listen(listener, sound, wakeful(word))
            heard += found.wake == word
            total += 1
            if found.wake:
                # Whatever the free reading was: what is told begins with the phrase.
                assert letters(found.text).startswith(word)
                assert len(found.tokens) == len(found.token_logprobs)
            assert listen(listener, sound, wakeful(other)).wake == ""
    assert heard >= 0.9 * total


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real recordings are not at {DATA}")
def test_it_is_known_while_the_owner_goes_on_speaking(engine: Moonshine) -> None:
    listener = Listener(engine)
    word = read(DATA / "wake" / "alexa" / sorted(path.name for path in (DATA / "wake" / "alexa").iterdir())[2])
    order = read(next(iter(sorted((DATA / "commands" / "audio").iterdir()))))
    sound = np.concatenate([word, order[: 3 * 16_000]])
    watched = wakeful("alexa")
    known_at = None
    for end in range(1536, sound.size, 1536):
        if known_at is None and watched.is_due(end) and listener.look(sound[:end], watched, "en"):
            known_at = end
    assert known_at is not None
    assert known_at < word.size + 8_000  # half a second after the word at most
    asked: list[str] = []

    def ask(recognition: Recognition) -> Sentences | None:
        asked.append(recognition.text)
        return None

    found = listener.hear(sound, language="en", wakeful=watched, ask=ask)
    assert found.wake == "alexa"
    assert letters(asked[0]).startswith("alexa")


def test_who_was_not_looked_at_in_time_is_left_to_the_words(engine: Moonshine) -> None:
    listener = Listener(engine)
    long = np.random.default_rng(0).normal(0, 0.01, 6 * 16_000).astype(np.float32)
    assert listener.hear(long, language="en", wakeful=wakeful("alexa")).wake is None
    assert listener.hear(long[:16_000], language="en", wakeful=wakeful("alexa")).wake == ""
    assert not wakeful("alexa").is_due(6 * 16_000)


def test_an_engine_without_scores_is_not_looked_with(models_dir: Path) -> None:
    class Words:
        name = "words"

    listener = Listener(Words())  # type: ignore[arg-type]
    watched = wakeful("alexa")
    assert listener.look(np.zeros(16_000, np.float32), watched, "en") is None
    assert watched.looks == 0
