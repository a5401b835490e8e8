"""The memory of a speech engine, measured in a process of its own: `python -m agentbox.bench.memory`.

Only what the engine itself needs is imported there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.daemon.figures import memory_bytes

Sound: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Memory:
    """PSS, MB: Python with numpy and the recordings; model loaded; after decoding; at rest after that."""

    python_mb: float
    loaded_mb: float
    decoded_mb: float
    resting_mb: float


def pss_mb() -> float:
    """This process's proportional set size: its own pages, and its share of the shared ones (proc(5))."""
    own = memory_bytes()
    if own is None:
        raise OSError("the kernel does not tell the proportional set size")
    return own / (1 << 20)


def memory(engine: Literal["agentbox", "sherpa"], model_folder: Path, samples: Sequence[Sound]) -> Memory:
    """Load `engine` on the model's files in a new process, decode each of `samples` once, and look in between."""
    with tempfile.TemporaryDirectory() as scratch:
        clips = Path(scratch) / "clips.npz"
        np.savez(clips, *samples)
        command = [sys.executable, "-P", "-m", "agentbox.bench.memory", engine, str(model_folder), str(clips)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Memory(**json.loads(done.stdout))


def _measure(engine: str, model_folder: Path, samples: Sequence[Sound]) -> Memory:
    python = pss_mb()
    if engine == "sherpa":
        from agentbox.bench.sherpa import sherpa_decoder

        decode = sherpa_decoder(model_folder)
        loaded = pss_mb()
        for sound in samples:
            decode(sound)
        return Memory(python, loaded, pss_mb(), pss_mb())
    from agentbox.asr.load import load_engine

    ours = load_engine(str(model_folder), "en", model_folder)
    loaded = pss_mb()
    for sound in samples:
        ours.transcribe(sound, language="en")
    decoded = pss_mb()
    ours.rest()
    return Memory(python, loaded, decoded, pss_mb())


if __name__ == "__main__":
    with np.load(sys.argv[3]) as clips:
        measured = _measure(sys.argv[1], Path(sys.argv[2]), [clips[name] for name in clips.files])
    print(json.dumps(asdict(measured)))
