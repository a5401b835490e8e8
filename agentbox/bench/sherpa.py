"""sherpa-onnx on the same model files: what the speech engine is compared with."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.tokens import TokenTable
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ

Sound: TypeAlias = NDArray[np.float32]


def sherpa_decoder(model_folder: Path) -> Callable[[Sound], str]:
    """sherpa-onnx on a Moonshine model's files, one thread: float32 [n] at 16 kHz to text."""
    try:
        import sherpa_onnx
    except ImportError as error:
        raise extra_missing("sherpa-onnx") from error
    pieces = TokenTable.read(model_folder / "tokenizer.bin").pieces
    with tempfile.TemporaryDirectory() as scratch:
        tokens = Path(scratch) / "tokens.txt"
        tokens.write_text("".join(f"{base64.b64encode(piece).decode()} {n}\n" for n, piece in enumerate(pieces)))
        recognizer = sherpa_onnx.OfflineRecognizer.from_moonshine_v2(
            encoder=str(model_folder / "encoder_model.ort"),
            decoder=str(model_folder / "decoder_model_merged.ort"),
            tokens=str(tokens),
            num_threads=1,
        )

    def decode(samples: Sound) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLE_RATE_HZ, samples)
        recognizer.decode_stream(stream)
        return str(stream.result.text)

    return decode


def extra_missing(name: str) -> InputError:
    return InputError("extra_missing", f"{name} is not installed.", "Run: pip install 'agentbox[bench]'")
