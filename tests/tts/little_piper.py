"""The command line of piper-tts 1.8.0 as far as the voice uses it, with a tone for a voice: 10 ms for each character.

Its "model" is a text: `tone`, or what is to go wrong. tests/tts/test_piper.py holds it to the real program.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import wave
from pathlib import Path

import numpy as np

RATE_HZ = 22_050


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", type=Path, required=True)
    parser.add_argument("-d", "--output-dir", "--output_dir", type=Path, required=True)
    parser.add_argument("--length-scale", "--length_scale", type=float, default=1.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    ills = given.model.read_text().split()
    if not ills:
        raise RuntimeError("Load model failed: Protobuf parsing failed.")
    if "noisy" in ills:
        print("x" * 1_000_000 + "\n" + "a warning\n" * 1_000, flush=True)
    for number, line in enumerate(line.strip() for line in sys.stdin):
        if number and "hangs" in ills:
            time.sleep(3600)
        died = given.model.with_name("died")
        if number and ("dies" in ills or ("dies-once" in ills and not died.exists())):
            died.touch()
            sys.exit("Killed")
        path = given.output_dir / f"{time.monotonic_ns()}.wav"
        with wave.open(str(path), "wb") as file:
            if any(letter.isascii() for letter in line):
                file.setframerate(16_000 if "other-rate" in ills else RATE_HZ)
                file.setsampwidth(2)
                file.setnchannels(1)
                moments = np.arange(round(len(line) * given.length_scale * RATE_HZ / 100)) / RATE_HZ
                file.writeframes((8_000 * np.sin(moments * 880 * np.pi)).astype("<i2").tobytes())
        logging.getLogger("__main__").info("Wrote %s", path)


if __name__ == "__main__":
    main()
