"""SenseVoice-small: five languages, how it was said and what else was heard, in one run of an encoder.

One graph (sherpa-onnx: scripts/sense-voice/export-onnx.py; FunASR's own export has the same inputs under other names):
x f32 [1, rows, 560], x_length i32 [1], language i32 [1], text_norm i32 [1] -> logits f32 [1, rows + 4, vocabulary].
The first four rows are language, emotion, event, and whether numbers are written as digits; CTC outputs follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentbox.asr import tokens_txt
from agentbox.asr.ctc import greedy
from agentbox.asr.engine import Opening
from agentbox.asr.features import Features
from agentbox.asr.frontend import Frontend
from agentbox.asr.graph_files import GraphFile, Port, damaged, find_graph
from agentbox.asr.onnx_outline import outline
from agentbox.asr.single_run import Reading, Scores, SingleRun

NEEDED = "a SenseVoice model.onnx (or model.int8.onnx, model_quant.onnx) and tokens.txt (or tokens.json)"

_TAGS = 4
_LANGUAGES = {"zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
"""Numbers of the languages, where the metadata do not say otherwise (SenseVoice: model.py, lid_dict); 0: find out."""

_EMOTIONS = {
    b"<|HAPPY|>": "happy",
    b"<|SAD|>": "sad",
    b"<|ANGRY|>": "angry",
    b"<|NEUTRAL|>": "neutral",
    b"<|FEARFUL|>": "fearful",
    b"<|DISGUSTED|>": "disgusted",
    b"<|SURPRISED|>": "surprised",
}
_EVENTS = {
    b"<|Speech|>": "speech",
    b"<|BGM|>": "music",
    b"<|Applause|>": "applause",
    b"<|Laughter|>": "laughter",
    b"<|Cry|>": "crying",
    b"<|Sneeze|>": "sneeze",
    b"<|Breath|>": "breath",
    b"<|Cough|>": "cough",
    b"<|Sing|>": "singing",
    b"<|Speech_Noise|>": "noise",
}
"""The model's tags (SenseVoice: webui.py). The others say nothing: `<|EMO_UNKNOWN|>`, `<|Event_UNK|>`, `<|GBG|>`."""

_LANGUAGE = re.compile(rb"<\|([a-z]{2,3})\|>")
_NO_SPEECH = b"<|nospeech|>"


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a SenseVoice model's files; other families use the same names, so the graph is looked at."""
    file = find_graph(folder, "model")
    if file is None or tokens_txt.find(folder) is None:
        return False
    seen = outline(file)
    return len(seen.inputs) == _TAGS and (
        seen.metadata.get("model_type") == "sense_voice_ctc" or "language" in seen.inputs
    )


def open_model(folder: Path, opening: Opening) -> SingleRun:
    """See `load.Family`."""
    reader = SenseVoice(folder, opening.threads)
    return SingleRun(reader, Frontend.of(reader.graph, normalised=True), opening)


class SenseVoice:
    """See `single_run.Reader`."""

    tag_rows = _TAGS

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.graph = GraphFile(
            find_graph(folder, "model") or folder / "model.onnx",
            threads,
            [
                Port("x", shape=(None, None, None)),
                Port("x_length", ("int32",), (None,)),
                Port("language", ("int32",), (None,)),
                Port("text_norm", ("int32",), (None,)),
            ],
            [Port("logits", shape=(None, None, None))],
        )
        told = self.graph.metadata
        size = told.number("vocab_size") if "vocab_size" in told.values else None
        self.table = tokens_txt.read(tokens_txt.find(folder) or folder / "tokens.txt", size=size, encoded=False)
        self.blank = told.number("blank_id", 0)
        if not 0 <= self.blank < (size or len(self.table)):
            raise damaged(self.graph.file, f"its blank is {self.blank}")
        self._numbers = {tag: told.number(f"lang_{tag}", number) for tag, number in _LANGUAGES.items()}
        self._unknown = told.number("lang_auto", 0)
        self._written_out = told.number("with_itn", 14)
        self.languages = tuple(_LANGUAGES)

    def scores(self, features: Features, language: str) -> Scores:
        """See `Reader`. A `language` that it does not know, or none, it finds out by itself."""
        number = self._numbers.get(language.split("-")[0].lower(), self._unknown)
        feeds = {
            "x": features[None],
            "x_length": np.array([len(features)], dtype=np.int32),
            "language": np.array([number], dtype=np.int32),
            "text_norm": np.array([self._written_out], dtype=np.int32),
        }
        return Scores(self.graph.run(feeds, ["logits"], give_back=True)[0][0])

    def read(self, scores: Scores, row_ms: int) -> Reading:
        tags = self._tags(scores)
        path = greedy(scores.logits[_TAGS:], self.blank).words(self.table)
        languages = [found[1].decode() for tag in tags if (found := _LANGUAGE.fullmatch(tag))]
        return Reading(
            tokens=path.tokens,
            logprobs=path.logprobs,
            token_ms=tuple(frame * row_ms for frame in path.frames),
            language=languages[0] if languages else None,
            emotion=next((_EMOTIONS[tag] for tag in tags if tag in _EMOTIONS), None),
            sound_event=next((_EVENTS[tag] for tag in tags if tag in _EVENTS), None),
            is_speech=_NO_SPEECH not in tags,
        )

    def spell(self, tokens: Sequence[int]) -> str:
        return self.table.decode(tokens)

    def check(self, scores: Scores, rows: int) -> bool:
        """The first rows are tags whatever is said."""
        return len(scores.logits) == rows + _TAGS and all(tag.startswith(b"<") for tag in self._tags(scores))

    def _tags(self, scores: Scores) -> list[bytes]:
        best = scores.logits[:_TAGS].argmax(axis=1).tolist()
        return [self.table.pieces[token] if token < len(self.table) else b"" for token in best]
