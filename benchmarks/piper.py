"""A Piper voice, and the default one beside it, on the same replies: how soon they are heard, what they cost, and
whether our own ears understand them.

`python -m benchmarks.piper VOICE.onnx [PROGRAM [REPLIES]]`
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from functools import reduce
from operator import add
from pathlib import Path

from agentbox import paths
from agentbox.asr.engine import Engine
from agentbox.asr.load import load_engine
from agentbox.bench.box import median, percentile
from agentbox.bench.speech import heard, replies, say
from agentbox.cli.bench_speech import TEN_WORDS
from agentbox.config import Config, Speech
from agentbox.tts.load import load_voice


def main(voice_file: Path, program: str, count: int) -> None:
    engine = load_engine("moonshine-tiny-en", "en", paths.models_dir(Config()))
    texts = replies(count)
    piper = Speech(voice="piper", piper_voice=str(voice_file), piper_program=program)
    with tempfile.TemporaryDirectory() as folder:
        # Piper first: the other one's helpers would count as its memory.
        measure(piper, texts, engine, Path(folder))
        memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"piper's process: {memory_mb:.0f} MB at most")
        measure(Speech(voice="hibari"), texts, engine, Path(folder))


def measure(speech: Speech, texts: list[str], engine: Engine, cache: Path) -> None:
    load_cpu_s = loaded_s = 0.0
    for _ in range(2):  # the first time, files are made or read into memory
        began_s, before_s = time.perf_counter(), cpu_s()
        voice = load_voice(speech, "en", cache)
        voice.say("One, two.")
        loaded_s = time.perf_counter() - began_s
        voice.close()
        load_cpu_s = cpu_s() - before_s
    before_s = cpu_s()
    voice = load_voice(speech, "en", cache)
    voice.say("One, two.")
    said = say(voice, texts)
    voice.close()
    spent_s = cpu_s() - before_s - load_cpu_s
    sound_s = sum(one.sound.size for one in said) / voice.sample_rate_hz
    ten = [one.first_ms for one in said if len(one.text.split()) in TEN_WORDS]
    errors = reduce(add, (wrong for _, _, wrong in heard(engine, voice, said)))
    print(
        f"{voice.name}: ready after {loaded_s:.1f} s; first sound of {len(ten)} replies of {TEN_WORDS.start} to"
        f" {TEN_WORDS.stop - 1} words {median(ten):.0f} ms (p95 {percentile(ten, 95):.0f} ms), of all {len(said)}"
        f" {median([one.first_ms for one in said]):.0f} ms; a second of sound takes"
        f" {sum(one.spent_ms for one in said) / 1000 / sound_s:.3f} s, {spent_s / sound_s:.3f} s of processor time;"
        f" {errors.edits} of {errors.words} words heard wrongly ({errors.rate:.1%})"
    )


def cpu_s() -> float:
    """What this process and those that it has ended took of the processor."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2] if len(sys.argv) > 2 else "piper",
        int(sys.argv[3]) if len(sys.argv) > 3 else 60,
    )
