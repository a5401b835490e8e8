"""How well the speaker knows what was heard: talks stopped at any moment, its account against the recording of a
virtual sound card. `python -m benchmarks.playback [TALKS]`; needs PulseAudio."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from agentbox.bench.box import median, percentile
from tests.audio.test_output import Probe, loud_ms
from tests.pulse import running


def main(talks: int) -> None:
    draw = random.Random(1)
    errors_ms, gaps = [], 0
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "pulse") as pulse:
        for _ in range(talks):
            recorded = Path(folder) / "heard.raw"
            with pulse.recording(recorded):
                told = Probe(pulse, "3.0", "stop-after", f"{draw.uniform(0.2, 2.5):.3f}").rest()[-1]
            if told["underruns"]:
                gaps += 1
                continue
            errors_ms.append(abs(loud_ms(recorded) - told["heard_in_the_end_ms"]))
    print(f"{len(errors_ms)} talks stopped ({gaps} more had gaps, since the machine was busy)")
    print(
        f"error: p50 {median(errors_ms):.0f} ms, p95 {percentile(errors_ms, 95):.0f} ms, most {max(errors_ms):.0f} ms"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
