"""Paraformer, the one that does not stream: it counts the words in the sound first and writes all of them at once.

One graph (modelscope/FunASR: its export, with metadata by sherpa-onnx or without): speech f32 [1, rows, 560],
speech_lengths i32 [1] -> logits f32 [1, words, vocabulary], token_num i32 [1], and of models that tell times us_alphas
and us_cif_peak f32 [1, 3 * rows].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentbox.asr import tokens_txt
from agentbox.asr.engine import Opening
from agentbox.asr.features import Features
from agentbox.asr.frontend import Frontend
from agentbox.asr.graph_files import GraphFile, Port, damaged, find_graph
from agentbox.asr.logits import best_of_rows
from agentbox.asr.onnx_outline import outline
from agentbox.asr.single_run import Reading, Scores, SingleRun
from agentbox.errors import ModelError

NEEDED = "a Paraformer model.onnx (or model.int8.onnx, model_quant.onnx) and tokens.txt (or tokens.json)"

_END = b"</s>"
_GOES_ON = "@@"
"""At the end of a piece: the word goes on with the next."""

_FULL = 1 - 1e-4
"""So much of a token has come together where it is written."""

_PEAKS_PER_ROW = 3


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a Paraformer's files; other families use the same names, so the graph is looked at."""
    file = find_graph(folder, "model")
    if file is None or tokens_txt.find(folder) is None:
        return False
    seen = outline(file)
    return len(seen.inputs) == 2 and (
        seen.metadata.get("model_type") == "paraformer" or seen.outputs[:2] == ["logits", "token_num"]
    )


def open_model(folder: Path, opening: Opening) -> SingleRun:
    """See `load.Family`."""
    reader = Paraformer(folder, opening.threads)
    return SingleRun(reader, Frontend.of(reader.graph, normalised=True), opening)


class Paraformer:
    """See `single_run.Reader`."""

    languages: tuple[str, ...] = ()
    blank = None
    tag_rows = 0

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.graph = GraphFile(
            find_graph(folder, "model") or folder / "model.onnx",
            threads,
            [Port("speech", shape=(None, None, None)), Port("speech_lengths", ("int32",), (None,))],
            [Port("logits", shape=(None, None, None))],
        )
        told = self.graph.metadata
        size = told.number("vocab_size") if "vocab_size" in told.values else None
        file = tokens_txt.find(folder) or folder / "tokens.txt"
        self.table = tokens_txt.read(file, size=size, encoded=False)
        if _END not in self.table.pieces:
            raise damaged(file, "it lacks the token </s>")
        self._end = self.table.pieces.index(_END)
        more = self.graph.more_outputs
        self._peaks = "us_cif_peak" if "us_cif_peak" in more else more[2] if len(more) == 3 else None

    def scores(self, features: Features, language: str) -> Scores:
        """See `Reader`. It cannot be told the language.

        Where no word comes together, the exported graph fails; FunASR's own program takes that for silence, too
        (funasr_onnx: paraformer_bin.py). A graph that always fails does not pass the self-test.
        """
        feeds = {"speech": features[None], "speech_lengths": np.array([len(features)], dtype=np.int32)}
        wanted = ["logits"] if self._peaks is None else ["logits", self._peaks]
        try:
            logits, *peaks = self.graph.run(feeds, wanted, give_back=True)
        except ModelError:
            return Scores(np.zeros((0, len(self.table)), dtype=np.float32))
        return Scores(logits[0], peaks[0][0] if peaks else None)

    def read(self, scores: Scores, row_ms: int) -> Reading:
        tokens, logprobs = best_of_rows(scores.logits)
        ends = np.flatnonzero(tokens == self._end)
        count = int(ends[0]) if len(ends) else len(tokens)
        return Reading(
            tokens=tuple(tokens[:count].tolist()),
            logprobs=tuple(logprobs[:count].tolist()),
            token_ms=self._times(scores, count, row_ms),
            is_speech=len(tokens) > 0,
        )

    def _times(self, scores: Scores, count: int, row_ms: int) -> tuple[int, ...]:
        """Where each token comes together; none where that cannot be told for all of them."""
        if scores.peaks is None:
            return ()
        # The last one ends the sentence.
        at = np.flatnonzero(scores.peaks > _FULL)[:-1]
        return tuple((at * row_ms // _PEAKS_PER_ROW).tolist()) if len(at) == count else ()

    def spell(self, tokens: Sequence[int]) -> str:
        """Words of Latin letters have spaces round them; Chinese characters have none between them."""
        text = ""
        goes_on = was_latin = False
        for token in tokens:
            piece = self.table.text_of(token).decode("utf-8", "replace")
            if not piece:
                continue
            goes_on, joined = piece.endswith(_GOES_ON), goes_on
            is_latin = piece[0].isascii()
            if not (joined and is_latin) and (is_latin or was_latin) and text:
                text += " "
            text += piece.removesuffix(_GOES_ON)
            was_latin = is_latin
        return text.strip()

    def check(self, scores: Scores, rows: int) -> bool:
        return len(scores.logits) > 0
