"""Small Fun-ASR-Nano models of random weights, and sherpa-onnx on the same files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from agentbox.asr import nano_files
from agentbox.asr.bpe import Bpe
from benchmarks import qwen_table
from benchmarks.nano_graphs import Size, write_embedding, write_llm, write_small_encoder, write_tokenizer

PROMPT = "语音转写："
MERGED = ("the", "ing", "on", "light", "语", "音", "转写", "开灯", "é")
"""What has tokens of its own."""


def small_tokenizer(folder: Path) -> dict[str, int]:
    """All bytes, and `MERGED` put together from the left; gives the marks of the model."""
    of_byte = qwen_table.letters()
    pieces, merges = list(of_byte), []
    for text in MERGED:
        first, *rest = [of_byte[byte] for byte in text.encode()]
        for letter in rest:
            if first + letter not in pieces:
                merges.append(f"{first} {letter}")
                pieces.append(first + letter)
            first += letter
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    special = {mark: len(pieces) + at for at, mark in enumerate(marks)}
    write_tokenizer(folder, pieces, merges, special)
    return special


def small_model(folder: Path, seed: int, size: Size | None = None, ending: float = -1.5) -> Path:
    """A whole model in `folder`, as published. `ending` is added to the logits of what ends an answer."""
    size = size or Size()
    special = small_tokenizer(folder / "Qwen3-0.6B")
    table = Bpe.read(folder / "Qwen3-0.6B")
    size = replace(size, vocabulary=len(table) + 2)
    bias = np.zeros(size.vocabulary, dtype=np.float32)
    for token in range(size.vocabulary):
        # sherpa-onnx drops bytes that are no text of their own, so tokens of such bytes could not be compared.
        text = table.bytes_of(token).decode("utf-8", "ignore").strip()
        if text.encode() != table.bytes_of(token) or not text.isprintable() or not text:
            bias[token] = -1e4
    for mark in ("<|endoftext|>", "<|im_end|>"):
        bias[special[mark]] = ending
    (folder / "encoder_adaptor.onnx").write_bytes(write_small_encoder(size.width, seed))
    (folder / "embedding.onnx").write_bytes(write_embedding(size.width, size.vocabulary, seed + 1))
    (folder / "llm.onnx").write_bytes(write_llm(size, seed + 2, bias))
    return folder


def sound(seed: int, seconds: float) -> NDArray[np.float32]:
    """A tone that wanders and swells, and a little noise."""
    random = np.random.default_rng(seed)
    at = np.arange(int(seconds * 16_000)) / 16_000
    wander = np.cumsum(300 + 250 * np.sin(2 * np.pi * random.uniform(0.7, 3) * at)) / 16_000
    swell = 0.3 + 0.25 * np.sin(2 * np.pi * random.uniform(0.5, 4) * at)
    noise = random.standard_normal(at.size) * 0.01
    return (swell * np.sin(2 * np.pi * wander) + noise).astype(np.float32)


class Sherpa:
    """sherpa-onnx's recogniser for a model's folder."""

    def __init__(
        self, folder: Path, *, language: str = "", itn: bool = True, hotwords: str = "", most_tokens: int = 40
    ) -> None:
        self._recognizer = sherpa_onnx.OfflineRecognizer.from_funasr_nano(
            encoder_adaptor=str(nano_files.graph_of(folder, "encoder_adaptor")),
            llm=str(nano_files.llm_of(folder)),
            embedding=str(nano_files.graph_of(folder, "embedding")),
            tokenizer=str(nano_files.tokenizer_of(folder)),
            num_threads=1,
            user_prompt=PROMPT,
            max_new_tokens=most_tokens,
            language=language,
            itn=itn,
            hotwords=hotwords,
        )

    def tokens(self, samples: NDArray[np.float32]) -> list[str]:
        """What each token says."""
        stream = self._recognizer.create_stream()
        stream.accept_waveform(16_000, samples)
        self._recognizer.decode_stream(stream)
        return list(stream.result.tokens)
