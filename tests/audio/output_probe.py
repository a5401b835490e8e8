"""Plays a ramp of tone through `Output` in a process of its own, and tells as JSON lines what becomes of it.

python output_probe.py SECONDS [stop-after SECONDS]
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.output import Output
from agentbox.messages import Notice


def tell(**values: object) -> None:
    print(json.dumps(values), flush=True)


def notice(one: Notice) -> None:
    tell(notice=one.code)


def main(seconds: float, stop_after_s: float | None) -> None:
    speaker = Output("default", notice)
    track = speaker.open("speech")
    at = np.arange(int(seconds * RATE_HZ))
    track.add((8_000 * np.sin(2 * np.pi * 500 * at / RATE_HZ)).astype(np.int16), last=True)
    while track.played_frames == 0 and not track.over:
        time.sleep(0.005)
    tell(begun=True)
    began_s = time.monotonic()
    while not track.over:
        if stop_after_s is not None and time.monotonic() - began_s >= stop_after_s:
            track.stop()
        time.sleep(0.005)
    tell(state=track.state.value, played_ms=track.played_ms, heard_ms=speaker.heard_ms(track))
    speaker.close()
    tell(heard_in_the_end_ms=speaker.heard_ms(track), underruns=speaker.underruns)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[3]) if len(sys.argv) > 3 else None)
