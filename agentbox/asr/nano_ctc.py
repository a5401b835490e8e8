"""The CTC outputs of Fun-ASR-Nano without its language model: quick, and rough where the whole model is not.

One graph (sherpa-onnx: scripts/sense-voice/export_onnx_nano.py): x f32 [1, rows, 560] -> logits f32 [1, rows,
vocabulary]; the blank comes last. Its metadata are SenseVoice's, with "Nano" in the comment. The features are not
normalised, and the tokens are pieces of UTF-8 in base64.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentbox.asr import tokens_txt
from agentbox.asr.ctc import greedy
from agentbox.asr.engine import Opening
from agentbox.asr.features import Features
from agentbox.asr.frontend import Frontend
from agentbox.asr.graph_files import GraphFile, Port, damaged, find_graph
from agentbox.asr.onnx_outline import outline
from agentbox.asr.single_run import Reading, Scores, SingleRun

NEEDED = "Fun-ASR-Nano's CTC export, model.onnx (or model.int8.onnx) and tokens.txt"


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has such an export; other families use the same names, so the graph is looked at."""
    file = find_graph(folder, "model")
    if file is None or not (folder / "tokens.txt").is_file():
        return False
    seen = outline(file)
    return len(seen.inputs) == 1 and "Nano" in seen.metadata.get("comment", "")


def open_model(folder: Path, opening: Opening) -> SingleRun:
    """See `load.Family`."""
    reader = NanoCtc(folder, opening.threads)
    return SingleRun(reader, Frontend.of(reader.graph, normalised=False), opening)


class NanoCtc:
    """See `single_run.Reader`."""

    tag_rows = 0
    languages = ("zh", "en", "ja")

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.graph = GraphFile(
            find_graph(folder, "model") or folder / "model.onnx",
            threads,
            [Port("x", shape=(None, None, None))],
            [Port("logits", shape=(None, None, None))],
        )
        told = self.graph.metadata
        size = told.number("vocab_size")
        self.table = tokens_txt.read(folder / "tokens.txt", size=size, encoded=True)
        self.blank = told.number("blank_id", size - 1)
        if not 0 <= self.blank < size:
            raise damaged(self.graph.file, f"its blank is {self.blank}")

    def scores(self, features: Features, language: str) -> Scores:
        """See `Reader`. It cannot be told the language."""
        return Scores(self.graph.run({"x": features[None]}, ["logits"], give_back=True)[0][0])

    def read(self, scores: Scores, row_ms: int) -> Reading:
        path = greedy(scores.logits, self.blank).words(self.table)
        return Reading(path.tokens, path.logprobs, tuple(frame * row_ms for frame in path.frames))

    def spell(self, tokens: Sequence[int]) -> str:
        return self.table.decode(tokens)

    def check(self, scores: Scores, rows: int) -> bool:
        return 0 < len(scores.logits) <= rows
