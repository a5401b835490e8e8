"""agentbox's engines and others on the same files, one thread each: float32 [n] at 16 kHz to text."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from agentbox.asr.graph_files import find_graph
from agentbox.asr.load import load_engine
from agentbox.asr.whisper_graphs import DECODER, ENCODER
from agentbox.bench.sherpa import sherpa_decoder
from benchmarks.voices import Sound

Decode: TypeAlias = Callable[[Sound, str], str]
"""Sound and language (`en`, `zh`)."""

OURS = "agentbox"


def ours(folder: Path) -> Decode:
    engine = load_engine(str(folder.resolve()), "en", folder)

    def decode(samples: Sound, language: str) -> str:
        return engine.transcribe(samples, language=language).text

    return decode


def rival_name(folder: Path) -> str:
    return "onnx-asr" if find_graph(folder, DECODER, dtypes=("quantized",)) else "sherpa-onnx"


def rival(folder: Path) -> Decode:
    """sherpa-onnx on Moonshine's files, onnx-asr on Whisper's."""
    if rival_name(folder) == "onnx-asr":
        return onnx_asr_decoder(folder)
    decode = sherpa_decoder(folder)
    return lambda samples, _: decode(samples)


def onnx_asr_decoder(folder: Path) -> Decode:
    """onnx-asr on a Whisper model's files, with onnxruntime's own settings but for the threads."""
    import onnxruntime
    from onnx_asr.models.whisper import WhisperHf
    from onnx_asr.preprocessors.numpy_preprocessor import WhisperPreprocessorNumpy

    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tables = {
        "vocab": tokenizer["model"]["vocab"],
        "added_tokens": {mark["content"]: mark["id"] for mark in tokenizer["added_tokens"]},
    }
    graphs = {"encoder": find_graph(folder, ENCODER), "decoder": find_graph(folder, DECODER)}
    files = {"config": folder / "config.json", **{part: file for part, file in graphs.items() if file}}
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1
    options = {"providers": ["CPUExecutionProvider"], "sess_options": one_thread}
    with tempfile.TemporaryDirectory() as scratch:
        for part, table in tables.items():
            files[part] = Path(scratch) / f"{part}.json"
            files[part].write_text(json.dumps(table), encoding="utf-8")
        engine = WhisperHf(files, WhisperPreprocessorNumpy, options)  # type: ignore[arg-type]

    def decode(samples: Sound, language: str) -> str:
        (found,) = engine.recognize_batch(samples[None], np.array([samples.size]), language=language)
        return found.text

    return decode
