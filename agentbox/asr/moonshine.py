"""The Moonshine engine: an encoder over the raw sound and a decoder that writes token by token, on onnxruntime.

The graphs are those of Moonshine v2 without streaming (moonshine: core/moonshine-model.cpp), as `.ort` or `.onnx`:
- encoder: input_values f32 [b, samples] (and attention_mask i64 [b, samples] in newer exports) -> f32 [b, t, width]
- decoder: one merged graph; see `decoders`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentbox.asr import guards
from agentbox.asr.belief import Decoding, believed
from agentbox.asr.constrain.prior import Prior
from agentbox.asr.constrain.sentences import How
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.constrain.steps import StepSentences
from agentbox.asr.decoders import DecoderState, Floats, Ints, open_decoder
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.graph_files import GraphFile, Port, failed, find_graph, fingerprint, senseless
from agentbox.asr.hotwords.step_scorer import StepScorer
from agentbox.asr.logits import log_softmax
from agentbox.asr.sound import MIN_SAMPLES, check_finite, too_short
from agentbox.asr.tokens import END, START, TokenTable
from agentbox.caches import digest
from agentbox.inference import OnnxError, return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ

FRAME_SAMPLES = 895
"""The shortest sound that makes one frame of encoder output: three convolutions, 127/64, 7/3 and 3/2 (width/step)."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Sound after the encoder, to be decoded as often as wanted (freely, under a grammar, for a wake phrase)."""

    begun: DecoderState
    """The state before the first token: one hypothesis."""
    audio_s: float


NEEDED = "encoder_model and decoder_model_merged (.ort or .onnx) and tokenizer.bin"

_DENSE = ("ar", "he", "hi", "ja", "ko", "th", "uk", "vi", "zh")
"""Languages whose text takes more tokens; moonshine's docs/api/options.md says "many non-Latin"."""


def open_model(folder: Path, opening: Opening) -> Moonshine:
    """See `load.Family`."""
    dense = opening.language.split("-")[0].lower() in _DENSE
    usual = guards.DENSE_TOKENS_PER_SECOND if dense else guards.TOKENS_PER_SECOND
    engine = Moonshine(
        folder,
        name=opening.name,
        languages=opening.languages,
        threads=opening.threads,
        tokens_per_second=opening.tokens_per_second or usual,
    )
    engine.self_test(opening.encoder_rms)
    return engine


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a Moonshine model's files."""
    return (folder / "tokenizer.bin").is_file() and all(
        find_graph(folder, part) is not None for part in ("encoder_model", "decoder_model_merged")
    )


class Moonshine:
    """A Moonshine model from a folder with encoder_model, decoder_model_merged (`.ort` or `.onnx`), tokenizer.bin."""

    end = END

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        languages: Sequence[str] = (),
        threads: int = 1,
        tokens_per_second: float = guards.TOKENS_PER_SECOND,
    ) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.name = name
        self.capabilities = Capabilities(tuple(languages), streaming=False, token_scores=True)
        self.tokens_per_second = tokens_per_second
        self.table = TokenTable.read(folder / "tokenizer.bin")
        files = (_graph(folder, "encoder_model"), _graph(folder, "decoder_model_merged"), folder / "tokenizer.bin")
        self.fingerprint = digest(name, *(f"{file.stat().st_size} {file.stat().st_mtime_ns}" for file in files))
        """The same for the same files: what was worked out with them is good for them alone."""
        self._encoder = GraphFile(
            files[0],
            threads,
            [Port("input_values", shape=(None, None))],
            [Port("last_hidden_state", shape=(None, None, None))],
            more=True,
        )
        self._decoder = open_decoder(files[1], threads)
        self._encoder_masked = "attention_mask" in self._encoder.more_inputs
        return_free_memory()

    def encode(self, samples: Samples) -> Encoding:
        """The encoder's view of `samples`: float32 [n], n >= `MIN_SAMPLES`. Raises `ModelError` `model_failed`."""
        return Encoding(self._begin(self._encode(samples, FRAME_SAMPLES), 1), samples.size / SAMPLE_RATE_HZ)

    def _encode(self, samples: Samples, mask_samples: int) -> Floats:
        feeds: dict[str, NDArray[np.generic]] = {"input_values": np.ascontiguousarray(samples, np.float32)[None]}
        if self._encoder_masked:
            feeds["attention_mask"] = np.ones((1, mask_samples), dtype=np.int64)
        hidden: Floats = self._encoder.run(feeds, ["last_hidden_state"], give_back=True)[0]
        return hidden

    def begin(self, encoding: Encoding) -> DecoderState:
        """The state before the first token: one hypothesis."""
        return encoding.begun

    def _begin(self, hidden: Floats, mask_samples: int) -> DecoderState:
        try:
            return self._decoder.begin(hidden, mask_samples)
        except OnnxError as error:
            raise failed(self.name) from error

    def step(self, tokens: Sequence[int] | Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        """Append one token to each hypothesis; `tokens` is [batch], `START` at first.

        Returns the logits for the token that follows, [batch, vocabulary], and the new state.
        Raises `ModelError` `model_failed`.
        """
        return self._append(np.array(tokens, dtype=np.int64, ndmin=2).T, state)

    def speller(self) -> Speller:
        """See `StepModel`."""
        return Speller(self.table)

    def sentence_decoder(self, cache: Path | None) -> StepSentences[Encoding, DecoderState]:
        """See `TakesSentences`."""
        return StepSentences(
            self,
            cache=cache,
            prior_of=lambda: Prior(self),
            fingerprint=self.fingerprint,
            scored_by=self,
        )

    def rescorer(self) -> StepScorer[Encoding, DecoderState]:
        """See `Rescores`."""
        return StepScorer(self)

    def read(self, samples: Samples, how: How) -> tuple[Recognition, Encoding | None]:
        """See `KeepsSound`."""
        return self.listen(samples, speech_ms=how.speech_ms, abort=how.abort)

    def begin_after(self, encoding: Encoding, tokens: Sequence[int]) -> tuple[Floats, DecoderState]:
        """One hypothesis that has said `START` and `tokens` already, in one run: as `step` returns it."""
        return self._append(np.array([[START, *tokens]], dtype=np.int64), self.begin(encoding))

    def _append(self, ids: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        """`ids` is [batch, n]; only a state before the first token takes more than one."""
        try:
            return self._decoder.append(ids, state)
        except OnnxError as error:
            raise failed(self.name) from error

    def continuations(self, encoding: Encoding, prefixes: Sequence[Sequence[int]]) -> Floats:
        """Log-probabilities of the token after each of `prefixes`, [batch, vocabulary], in one run of the decoder.

        All prefixes are equally long and begin with `START`. Raises `ModelError` `model_failed`.
        """
        try:
            logits = self._decoder.continuations(encoding.begun, np.array(prefixes, dtype=np.int64))
        except OnnxError as error:
            raise failed(self.name) from error
        return log_softmax(logits)

    def decode(self, encoding: Encoding, abort: Callable[[], bool] | None = None) -> Decoding:
        """The likeliest token at each step, until the model ends or the cap is reached (`guards.token_cap`)."""
        cap = guards.token_cap(encoding.audio_s, self.tokens_per_second)
        state = self.begin(encoding)
        token = START
        tokens: list[int] = []
        logprobs: list[float] = []
        while len(tokens) < cap:
            if abort is not None and abort():
                raise Aborted
            logits, state = self.step([token], state)
            token, logprob = _take_best(logits[0])
            if token == END:
                return Decoding(tuple(tokens), tuple(logprobs), capped=False)
            tokens.append(token)
            logprobs.append(logprob)
        return Decoding(tuple(tokens), tuple(logprobs), capped=True)

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        hints: Hints = NO_HINTS,
        partial: Callable[[str], None] | None = None,
    ) -> Recognition:
        """See `Engine.transcribe`. A model knows one language; `language` is taken as checked by `load_engine`."""
        return self.listen(samples, speech_ms=speech_ms, abort=abort)[0]

    def listen(
        self, samples: Samples, *, speech_ms: int | None = None, abort: Callable[[], bool] | None = None
    ) -> tuple[Recognition, Encoding | None]:
        """`transcribe`, and the encoding to decode again; null where the sound is too short for one."""
        if (short := too_short(samples.size)) is not None:
            return short, None
        audio_ms = samples.size * 1000 // SAMPLE_RATE_HZ
        check_finite(samples)
        started = time.perf_counter()
        encoding = self.encode(samples)
        encoded = time.perf_counter()
        decoding = self.decode(encoding, abort)
        recognition = replace(
            self.believed(decoding, encoding.audio_s if speech_ms is None else speech_ms / 1000),
            audio_ms=audio_ms,
            encode_ms=(encoded - started) * 1000,
            decode_ms=(time.perf_counter() - started) * 1000,
        )
        return recognition, encoding

    def believed(self, decoding: Decoding, speech_s: float) -> Recognition:
        """What of a decoding may be believed (`guards.judge`), without times."""
        return believed(
            self.table.decode,
            decoding.tokens,
            decoding.logprobs,
            capped=decoding.capped,
            speech_s=speech_s,
            tokens_per_second=self.tokens_per_second,
        )

    def spell(self, tokens: Sequence[int]) -> str:
        """See `Spelling.spell`."""
        return self.table.decode(tokens)

    def rest(self) -> None:
        """See `Engine.rest`: some 20 MB after a few commands, 50 after a long utterance."""
        # The arena only gives back after a run, and the decoder's last ones did not ask it to.
        self._encode(np.zeros(MIN_SAMPLES, dtype=np.float32), FRAME_SAMPLES)
        return_free_memory()

    def self_test(self, expected_rms: float | None = None) -> None:
        """Half a second of a rising tone through both graphs; raises `ModelError` where the numbers make no sense.

        Finds a token table of another model, and processors on which a quantised graph computes rubbish.
        `expected_rms` is the root mean square of the encoder's output for this tone, where the catalogue knows it.
        """
        at = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
        tone = (0.1 * np.sin(2 * np.pi * (200 + 1800 * at) * at)).astype(np.float32)
        hidden = self._encode(tone, FRAME_SAMPLES)
        fingerprint(hidden, self.name, expected_rms)
        logits, state = self.step([START], self._begin(hidden, 1))
        fully_masked, _ = self.step([START], self._begin(self._encode(tone, tone.size), tone.size))
        second, _ = self.step([int(logits[0].argmax())], state)
        sane = bool(np.isfinite(second).all()) and len(self.table) <= logits.shape[1]
        if not sane or not np.allclose(logits, fully_masked, atol=1e-3):
            raise senseless(self.name)


def _graph(folder: Path, part: str) -> Path:
    return find_graph(folder, part) or folder / f"{part}.onnx"


def _take_best(logits: Floats) -> tuple[int, float]:
    """The likeliest token of `logits` [vocabulary] and the logarithm of its probability. Uses `logits` up."""
    token = int(logits.argmax())
    np.subtract(logits, logits[token], out=logits)
    np.exp(logits, out=logits)
    return token, -math.log(float(logits.sum()))
