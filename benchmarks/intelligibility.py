"""Is the box's voice understood by somebody else's ears: Vosk (pip install vosk), with a model of its own in a folder.

`python -m benchmarks.intelligibility LANGUAGE MODEL [REPLIES]`, `en` or `zh`. Chinese is counted by characters.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import soxr
from rapidfuzz.distance import Levenshtein

from agentbox import paths
from agentbox.bench.speech import replies, say
from agentbox.bench.words import Errors, word_errors
from agentbox.config import Speech
from agentbox.intents.numbers import NumberWords
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.tts.load import load_voice


def main(language: str, model: Path, count: int) -> None:
    vosk: Any = importlib.import_module("vosk")
    vosk.SetLogLevel(-1)
    ears = vosk.Model(str(model))
    voice = load_voice(Speech(), language, paths.cache_dir())
    errors, whole = [], 0
    for said in say(voice, replies(count, language=language), language):
        recognizer: Any = vosk.KaldiRecognizer(ears, SAMPLE_RATE_HZ)
        sound = soxr.resample(said.sound, voice.sample_rate_hz, SAMPLE_RATE_HZ)
        recognizer.AcceptWaveform(sound.tobytes())
        heard = json.loads(recognizer.FinalResult())["text"]
        found = _character_errors(said.text, heard) if language == "zh" else word_errors(said.text, heard)
        errors.append(found)
        whole += not found.edits
        if found.edits:
            print(f"{said.text}  ->  {heard}")
    total = reduce(add, errors)
    print(
        f"{voice.name}: {total.edits} of {total.words} wrong ({total.rate:.1%}); {whole} of {len(errors)} replies whole"
    )


def _character_errors(wanted: str, heard: str) -> Errors:
    numbers = NumberWords("zh")
    said, got = ("".join(re.findall(r"[\u3400-\u9fff]", numbers.to_words(text))) for text in (wanted, heard))
    return Errors(Levenshtein.distance(said, got), len(said))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 200)
