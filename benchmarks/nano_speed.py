"""What Fun-ASR-Nano costs: memory, and time to the first token and for each further one.

    python -m benchmarks.nano_speed FOLDER [--threads 1 2] [--sherpa]

Where FOLDER holds no model, one of the real size is made there: 1 GB of random bytes in graphs of the published kind
(`nano_graphs`) with the real token table. What it writes is gibberish; what it costs does not depend on that. With the
published files in FOLDER those are measured. Each count of threads is a process of its own; nothing else should run.
`--sherpa`: then the same files in sherpa-onnx's way, by sherpa-onnx and by agentbox in turns, one thread each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentbox.asr import nano_files
from agentbox.asr.engine import NO_HINTS, Hints
from agentbox.asr.nano import SHERPA_COMPAT, Nano
from agentbox.asr.nano_prompt import user_prompt
from agentbox.bench.memory import pss_mb
from benchmarks import qwen_table
from benchmarks.nano_graphs import FULL, write_embedding, write_full_encoder, write_llm, write_tokenizer

HOTWORDS = Hints(hotwords=tuple(f"{name}的{room}" for name in ("张三丰", "李小龙") for room in "灯门窗床锅"))
TOKENS = 16
"""Written in each run, unless the model ends before."""
ROUNDS = 4


def make_model(folder: Path) -> None:
    """A model of the real size, of random numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    text = user_prompt("zh", HOTWORDS, itn=False) + "\nsystem\nYou are a helpful assistant.\nuser\nassistant\n"
    pieces, merges = qwen_table.spelt(qwen_table.tokens(), text.encode())
    write_tokenizer(folder / "Qwen3-0.6B", pieces, merges, qwen_table.MARKS)
    (folder / "embedding.int8.onnx").write_bytes(write_embedding(FULL.width, FULL.vocabulary, 1, quantised=True))
    (folder / "encoder_adaptor.int8.onnx").write_bytes(write_full_encoder(2))
    (folder / "llm.int8.onnx").write_bytes(write_llm(FULL, 3))


def sound(seconds: float) -> NDArray[np.float32]:
    """Noise that swells as syllables do."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(0).standard_normal(at.size)
    swelling: NDArray[np.float32] = (0.1 * noise * (1 + np.sin(2 * np.pi * 4 * at))).astype(np.float32)
    return swelling


def quickest_ms(run: Callable[[], object], rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Time that went by, and time of the processors: each of its quickest round, since other programs only make it
    longer. Milliseconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    quickest: NDArray[np.float64] = 1000 * np.min(times, axis=0)
    return quickest


def never(tokens: Sequence[int]) -> bool:
    return False


def times(engine: Nano, clip: NDArray[np.float32], hints: Hints) -> dict[str, Any]:
    """Milliseconds that went by and of the processors: the encoder alone; until the first token is known; for each
    further token."""
    encoding = engine.encode(clip, language="zh", hints=hints)
    answer = quickest_ms(lambda: engine.decode(encoding, cap=TOKENS, stuck=never), 3)
    written = engine.decode(encoding, cap=TOKENS, stuck=never)
    # The first token is known before; real weights may end before the last, and to know that is a step too.
    steps = max(1, len(written.tokens) - written.capped)
    return {
        "prompt_rows": encoding.begun.rows,
        "encoder_ms": quickest_ms(lambda: engine.hear(clip)).tolist(),
        "first_token_ms": quickest_ms(lambda: engine.encode(clip, language="zh", hints=hints)).tolist(),
        "token_ms": (answer / steps).tolist(),
    }


def measure(folder: Path, threads: int = 1) -> dict[str, Any]:
    """Times in milliseconds (the quickest of some rounds), memory in MB."""
    found: dict[str, Any] = {"threads": threads, "python_mb": pss_mb()}
    started = time.perf_counter()
    engine = Nano(folder, name="nano", threads=threads)
    found["load_s"] = time.perf_counter() - started
    found["self_test_ms"] = quickest_ms(engine.self_test, 1).tolist()
    found["loaded_mb"] = pss_mb()
    for seconds, hints in ((3, NO_HINTS), (3, HOTWORDS), (10, NO_HINTS), (25, NO_HINTS)):
        name = f"{seconds} s" + (", 10 hotwords" if hints.hotwords else "")
        found[name] = times(engine, sound(seconds), hints)
    found["busy_mb"] = pss_mb()
    engine.rest()
    found["resting_mb"] = pss_mb()
    found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def beside_sherpa(folder: Path) -> dict[str, Any]:
    """The same work by both, in turns, one thread each: the answer's first `TOKENS` tokens to 3 s of sound."""
    import sherpa_onnx

    engine = Nano(folder, name="nano", convention=SHERPA_COMPAT)
    recognizer = sherpa_onnx.OfflineRecognizer.from_funasr_nano(
        encoder_adaptor=str(nano_files.graph_of(folder, "encoder_adaptor")),
        llm=str(nano_files.llm_of(folder)),
        embedding=str(nano_files.graph_of(folder, "embedding")),
        tokenizer=str(nano_files.tokenizer_of(folder)),
        user_prompt="语音转写：",
        max_new_tokens=TOKENS,
    )
    clip = sound(3)

    def ours() -> int:
        return len(engine.decode(engine.encode(clip), cap=TOKENS, stuck=never).tokens)

    def theirs() -> int:
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, clip)
        recognizer.decode_stream(stream)
        return len(stream.result.tokens)

    assert ours() == theirs() == TOKENS
    pairs = np.array([(quickest_ms(ours, 1), quickest_ms(theirs, 1)) for _ in range(ROUNDS)])
    quickest = pairs.min(axis=0)
    ratio = np.median(pairs[:, 0] / pairs[:, 1], axis=0)
    return {"agentbox_ms": quickest[0].tolist(), "sherpa_ms": quickest[1].tolist(), "ratio": ratio.tolist()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--sherpa", action="store_true")
    parser.add_argument("--measure", choices=["threads", "sherpa"], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        sherpa = options.measure == "sherpa"
        print(json.dumps(beside_sherpa(options.folder) if sherpa else measure(options.folder, *options.threads)))
        return 0
    if not nano_files.is_model_folder(options.folder):
        make_model(options.folder)
    again = [sys.executable, "-m", "benchmarks.nano_speed", str(options.folder)]
    runs = [["--measure", "threads", "--threads", str(count)] for count in options.threads]
    for run in runs + ([["--measure", "sherpa"]] if options.sherpa else []):
        done = subprocess.run([*again, *run], check=True, stdout=subprocess.PIPE, text=True).stdout
        print(json.dumps(json.loads(done), indent=2), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
