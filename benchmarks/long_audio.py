"""One long recording out of many short ones, cut by the clock and at pauses: words wrong.

    python -m benchmarks.long_audio MODELS_FOLDER [CLIPS]

The recordings are the Asterisk prompts (see `agentbox.bench.asr`), in a drawn order with silence between them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.load import load_engine
from agentbox.audio.ear import Ear
from agentbox.audio.segment import Ended
from agentbox.audio.vad import SileroVad
from agentbox.bench.asr import Clip, prompts
from agentbox.bench.words import word_errors
from agentbox.config import Audio
from agentbox.messages import SAMPLE_RATE_HZ

BLOCK = 1536
SHORTEST_S = 2.0
PAUSE_S = (0.1, 1.5)


def joined(clips: list[Clip], most: int, seed: int = 3) -> tuple[NDArray[np.int16], str]:
    """One recording of at most `most` of the clips, and what is said in it."""
    drawn = np.random.default_rng(seed)
    parts, texts = [], []
    clips = [clips[place] for place in drawn.permutation(len(clips))][:most]
    for clip in clips:
        silence = np.zeros(int(SAMPLE_RATE_HZ * drawn.uniform(*PAUSE_S)), np.float32)
        parts += [clip.samples, silence]
        texts.append(clip.text)
    sound = np.clip(np.concatenate(parts) * 32768, -32768, 32767).astype(np.int16)
    return sound, " ".join(texts)


def utterances(sound: NDArray[np.int16], vad: SileroVad) -> Iterator[Ended]:
    ear = Ear(Audio(), vad, partials=False)
    for at in range(0, sound.size, BLOCK):
        yield from (event for event in ear.hear(sound[at : at + BLOCK]) if isinstance(event, Ended))
    yield from (event for event in ear.finish() if isinstance(event, Ended))


def together(ended: list[Ended], longest_s: float) -> list[tuple[int, int, int]]:
    """Neighbours put together: first sample, sample after the last, milliseconds of speech."""
    found: list[tuple[int, int, int]] = []
    for one in ended:
        begin, end = one.first_sample, one.first_sample + one.samples.size
        if found and end - found[-1][0] <= longest_s * SAMPLE_RATE_HZ:
            found[-1] = (found[-1][0], end, found[-1][2] + one.speech_ms)
        else:
            found.append((begin, end, one.speech_ms))
    return found


def main(models_dir: Path, most: int = 120, model: str = "moonshine-tiny-en") -> None:
    engine = load_engine(model, "en", models_dir, fetch_missing=False)
    vad = SileroVad(next((models_dir / "silero-vad-16k").glob("*.onnx")))
    clips = prompts(shortest_s=SHORTEST_S)
    sound, text = joined(clips, most)
    ended = list(utterances(sound, vad))
    cuts: dict[str, list[tuple[int, int, int | None]]] = {}
    for seconds in (10, 20, 25):
        step = seconds * SAMPLE_RATE_HZ
        cuts[f"every {seconds} s"] = [(at, min(at + step, sound.size), None) for at in range(0, sound.size, step)]
    cuts["at pauses"] = [*together(ended, 0)]
    for longest_s in (8, 12, 20, 24):
        cuts[f"at pauses, together to {longest_s} s"] = [*together(ended, longest_s)]
    print(f"{len(sound) / SAMPLE_RATE_HZ:.0f} s, {min(most, len(clips))} clips")
    for how, pieces in cuts.items():
        heard = [
            engine.transcribe(sound[begin:end].astype(np.float32) / np.float32(32768), language="en", speech_ms=speech)
            for begin, end, speech in pieces
        ]
        errors = word_errors(text, " ".join(one.text for one in heard))
        print(f"{how:28} {len(pieces):4} pieces  {errors.rate:6.2%} of {errors.words} words", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 120)
