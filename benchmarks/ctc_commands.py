"""Commands under the box's own sentences with a model that has CTC outputs: what is understood, and how long it takes.

No weights of such a model can be had here, so the frames are made up: at the frame of a token its score stands out of
noise, and in some of them that of another token stands out more. It shows that sentences are found where the free
reading is wrong, and what a search costs over a vocabulary of the real size; it says nothing about real speech.

    python -m benchmarks.ctc_commands [--wrong 0.2]
"""

from __future__ import annotations

import argparse
import statistics
import string
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from agentbox.asr.constrain.frames import FrameSentences
from agentbox.asr.constrain.sentences import Held, Sentences
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.ctc import CtcFrames, greedy
from agentbox.asr.engine import Recognition
from agentbox.asr.logits import Floats
from agentbox.asr.tokens import TokenTable
from agentbox.config import Asr, Config
from agentbox.daemon.mind import load_tools, make_understander
from agentbox.intents.decide import Decision, decide
from agentbox.intents.understand import Understander

FRAME_MS = 60
VOCABULARY = 25_055
"""SenseVoice's."""

CHINESE = (
    "现在几点了",
    "今天星期几",
    "设置一个五分钟的计时器",
    "设一个十分钟的定时器",
    "取消计时器",
    "音量调大",
    "音量调到百分之三十",
    "声音小一点",
    "把音量设为五十",
    "停止",
)
_STANDS_OUT = 20.0
"""Above the noise of all other tokens: between two tokens real models are as sure of the blank."""
_NOISE = 1.0


class Said(NamedTuple):
    """What came of one command."""

    text: str
    free: str
    held: Held
    decision: Decision
    right: bool
    """The likeliest meaning is that of the command."""
    took_s: float


def english() -> list[str]:
    """Commands that the box knows by itself."""
    file = Path(__file__).parent / "builtin-commands-en.yaml"
    return [text for lines in yaml.safe_load(file.read_text(encoding="utf-8")).values() for text, _ in lines]


def table_of(texts: Sequence[str], size: int = VOCABULARY) -> TokenTable:
    """Bytes, letters, the words of `texts` and their beginnings, and as many more as a model has."""
    words = {f"\u2581{word}" for text in texts for word in text.split() if word.isascii()}
    letters = {letter for text in texts for letter in text if letter != " "} | set(string.ascii_lowercase + "，。")
    known = {"\u2581", *letters, *(word[:end] for word in words for end in range(2, len(word) + 1))}
    chance = np.random.default_rng(5)
    while len(known) + 259 < size:
        more = chance.choice(list("bcdfghjklmnpqrstvwxz"), (size - len(known) - 259, 5))
        known |= {"\u2581" + "".join(row) for row in more}
    # What comes first is put together first.
    pieces = [piece.encode() for piece in sorted(known, key=lambda piece: (len(piece), piece))]
    return TokenTable([b"<blank>", b"<s>", b"</s>", *(bytes([byte]) for byte in range(256)), *pieces])


def frames_saying(tokens: Sequence[int], size: int, wrong: float, chance: np.random.Generator) -> Floats:
    """Logits, [frames, size], that say `tokens`; a share `wrong` of them is drowned by another token."""
    gaps = chance.integers(1, 5, len(tokens) + 1)
    logits = chance.normal(0.0, _NOISE, (int(gaps.sum()) + len(tokens), size)).astype(np.float32)
    logits[:, 0] += _STANDS_OUT
    at = -1
    for gap, token in zip(gaps, tokens, strict=False):
        at += int(gap) + 1
        logits[at, token] += _STANDS_OUT + 2
        logits[at, 0] -= _STANDS_OUT / 2
        if chance.random() < wrong:
            logits[at, chance.integers(259, size)] += _STANDS_OUT + 4
    return logits


def hear(
    understander: Understander, table: TokenTable, text: str, wrong: float, decoder: FrameSentences, seed: int
) -> Said:
    """One command, said and understood."""
    spoken = understander.spoken
    sentences = Sentences(spoken.grammar, tuple(spoken.active({})))
    written = f" {text}" if spoken.grammar.spaced else text
    tokens = Speller(table).encode(written)
    logits = frames_saying(tokens, len(table), wrong, np.random.default_rng(seed))
    path = greedy(logits, 0).words(table)
    read = Recognition(table.decode(path.tokens), tokens=path.tokens, token_logprobs=path.logprobs)
    frames = CtcFrames.of(logits, 0, FRAME_MS)
    started = time.process_time()
    held = decoder.hold(sentences, read, frames, read.text)
    took_s = time.process_time() - started
    decision, meant = decide(understander, held.candidates, held.free), understander.read(text)
    told = decision.intent
    right = meant is not None and told is not None and (meant.name, meant.slots) == (told.name, told.slots)
    return Said(text, read.text, held, decision, right, took_s)


def run(language: str, texts: Sequence[str], wrong: float, size: int = VOCABULARY) -> list[Said]:
    """All of `texts` under the box's own sentences of a language."""
    config = Config(asr=Asr(language=language))
    understander = make_understander(config, load_tools(config))
    table = table_of(texts, size)
    decoder = FrameSentences(table)
    return [hear(understander, table, text, wrong, decoder, seed) for seed, text in enumerate(texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", type=float, default=0.2, help="share of the tokens that are drowned")
    parser.add_argument("--every", type=int, default=8, help="of the English ones, only every so manieth")
    options = parser.parse_args()
    for language, texts in (("en", english()[:: options.every]), ("zh", CHINESE)):
        for share in (0.0, options.wrong):
            found = run(language, texts, share)
            free = sum(one.free == one.text for one in found)
            right = sum(one.right for one in found)
            acted = sum(one.right and one.decision.outcome == "act" for one in found)
            times = sorted(one.took_s for one in found)
            print(
                f"{language}, {share:.0%} of the tokens drowned: of {len(found)} read freely {free}, understood"
                f" {right}, acted on {acted}; {statistics.median(times) * 1000:.0f} ms, at most {times[-1] * 1000:.0f}"
            )
            for one in found:
                if not one.right or one.decision.outcome != "act":
                    heard = one.held.candidates[0].readings if one.held.candidates else ()
                    print(f"    {one.text!r}: {one.free!r}, {heard}, {one.decision.outcome}")


if __name__ == "__main__":
    main()
