"""sherpa-onnx on the same model files: the answer that ours is held against, token for token."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from agentbox.asr.tokens import TokenTable


class Oracle:
    """A recogniser of sherpa-onnx for a Moonshine model's folder; it wants the tokens as base64 in a text file."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        table = TokenTable.read(folder / "tokenizer.bin")
        tokens = scratch / f"{folder.name}-tokens.txt"
        tokens.write_text("".join(f"{base64.b64encode(p).decode()} {i}\n" for i, p in enumerate(table.pieces)))
        self._spellings = [piece.replace("\u2581".encode(), b" ").decode("utf-8", "replace") for piece in table.pieces]
        self._recognizer = sherpa_onnx.OfflineRecognizer.from_moonshine_v2(
            encoder=str(folder / "encoder_model.ort"),
            decoder=str(folder / "decoder_model_merged.ort"),
            tokens=str(tokens),
            num_threads=1,
        )

    def pieces(self, samples: NDArray[np.float32]) -> list[str]:
        """The tokens it decodes, as text."""
        stream = self._recognizer.create_stream()
        stream.accept_waveform(16_000, samples)
        self._recognizer.decode_stream(stream)
        return list(stream.result.tokens)

    def spell(self, tokens: tuple[int, ...]) -> list[str]:
        """Our token numbers in its spelling."""
        return [self._spellings[token] for token in tokens]

    def tokens_spelled(self, piece: str) -> list[int]:
        """Every token that it would spell like that."""
        return [token for token, spelling in enumerate(self._spellings) if spelling == piece]
