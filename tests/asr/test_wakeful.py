"""Wake phrases in the inference thread: real recordings of four words, each listened for while another is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted, Recognition, Samples
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.wake import PhraseScore, PhraseScorer, spellings
from agentbox.asr.wakeful import Wakeful, with_phrase
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
        for file in sorted((DATA / "wake" / word).glob("*.flac"))[:3]:
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


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real recordings are not at {DATA}")
def test_who_was_not_looked_at_in_time_is_looked_at_in_the_end(engine: Moonshine) -> None:
    listener = Listener(engine)
    word = read(DATA / "wake" / "alexa" / sorted(path.name for path in (DATA / "wake" / "alexa").iterdir())[2])
    order = read(next(iter(sorted((DATA / "commands" / "audio").iterdir()))))
    long = np.concatenate([word, order])
    assert long.size > 4 * 16_000
    assert not wakeful("alexa").is_due(long.size)
    assert listener.hear(long, language="en", wakeful=wakeful("alexa")).wake == "alexa"
    assert listener.hear(long, language="en", wakeful=wakeful("jarvis")).wake == ""


def test_what_follows_a_phrase_is_believed_no_more_than_other_words(engine: Moonshine) -> None:
    # A warble, in which the model hears "where are you?" over and over.
    at = np.arange(6 * 16_000) / 16_000
    warble = (0.3 * np.sin(2 * np.pi * (300 * at + 40 * np.sin(2 * np.pi * 3 * at)))).astype(np.float32)
    scorer = PhraseScorer(engine, ["computer"])
    encoding = engine.encode(warble)
    watched = wakeful("computer")
    watched.looks, watched.phrase = 1, "computer"
    free = Recognition("la la", tokens=(1,), token_logprobs=(-1.0,))
    found = with_phrase(engine, _Sure(scorer), watched, free, encoding)
    assert found.wake == "computer"
    assert len(found.tokens) <= 4 + 1.4 * 6.5 * 6
    assert not any(found.text.lower().count(word) > 3 for word in set(found.text.lower().split()))
    assert len(found.tokens) == len(found.token_logprobs)

    with pytest.raises(Aborted):
        with_phrase(engine, _Sure(scorer), watched, free, encoding, abort=lambda: True)


class _Sure(PhraseScorer):
    """Finds its phrase in any sound."""

    def __init__(self, scorer: PhraseScorer) -> None:
        self.__dict__ |= scorer.__dict__

    def score(self, encoding: Encoding) -> tuple[PhraseScore, ...]:
        tokens = next(spellings(self.phrases[0], Speller(self._model.table)))
        return (PhraseScore(self.phrases[0], -1.0, 9.0, tokens),)


def test_an_engine_without_scores_is_not_looked_with(models_dir: Path) -> None:
    class Words:
        name = "words"

    listener = Listener(Words())  # type: ignore[arg-type]
    watched = wakeful("alexa")
    assert listener.look(np.zeros(16_000, np.float32), watched, "en") is None
    assert watched.looks == 0
