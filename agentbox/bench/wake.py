"""Wake phrases on recordings: misses and delay on clips of the phrases, false accepts per hour on other sound.

Every sound goes through the daemon's own ear (gate, voice detector, segmenter), in its blocks; a trial is the start of
an utterance, looked at as often as a running daemon looks. Scores are kept in a folder by the content of the sound, so
that hours of it can be run in pieces; what they mean at a sensitivity is worked out afterwards.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentbox.asr.load import load_engine
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.sound import MIN_SAMPLES
from agentbox.asr.wake import LAST_LOOK_MS, PhraseScorer, is_due
from agentbox.audio.ear import Ear, VoiceActivity
from agentbox.audio.segment import Ended, Paused, Samples, Started
from agentbox.audio.vad import WINDOW_SAMPLES
from agentbox.bench import mixing
from agentbox.bench.recordings import as_floats, read_sound, sound_files
from agentbox.config import Audio, Config
from agentbox.daemon.box import load_vad
from agentbox.errors import InputError, ModelError
from agentbox.messages import SAMPLE_RATE_HZ

Sound: TypeAlias = NDArray[np.float32]

SNR_DB = 10.0
_VERSION = 7
"""Of what is kept in the cache."""

_BEFORE_S, _AFTER_S = 0.6, 1.2
"""Quiet around a clip, so that utterances begin and end as they do on a microphone."""

_SCOUT = 3
"""Number of the look that tells whether the others are worth taking: some 1.7 s into the utterance."""


class Look(msgspec.Struct, frozen=True, array_like=True):
    """One look at the beginning of an utterance."""

    end_sample: int
    """Where the sound looked at ends, from the beginning of the recording: when the look was taken."""
    logprobs: list[float | None]
    """By phrase; null where it was given up."""


class Scored(msgspec.Struct, frozen=True):
    """One recording: its utterances' looks, in order."""

    seconds: float
    utterances: list[list[Look]]
    look_ms: list[float]
    """How long each look took."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A clip of a phrase, in one condition."""

    phrase: str
    condition: str
    scored: Scored
    speech_end_sample: int
    """Where the phrase ends, by the voice detector on the clean clip."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All scores of a run."""

    phrases: tuple[str, ...]
    priors: tuple[float, ...]
    trials: list[Trial]
    others: dict[str, list[Scored]]
    """Sound without the phrases, by kind."""

    @property
    def sounds(self) -> list[tuple[str, list[Scored]]]:
        return [("trials", [trial.scored for trial in self.trials]), *self.others.items()]


class Recorder:
    """Scores recordings and remembers the scores in `cache`. `name`: the model's."""

    def __init__(self, name: str, scorer: PhraseScorer, vad: VoiceActivity, cache: Path | None = None) -> None:
        self._scorer = scorer
        self._vad = vad
        self._cache = cache
        self._key = json.dumps([_VERSION, name, scorer.phrases, [round(prior, 2) for prior in scorer.priors]])

    def score(self, sound: Samples, *, scout: bool = False) -> Scored:
        """`scout`: one look is taken at each utterance, and the others only where it found anything near a phrase."""
        digest = hashlib.sha256(self._key.encode() + bytes([scout]) + sound.tobytes()).hexdigest()
        file = None if self._cache is None else self._cache / digest[:2] / f"{digest}.json"
        if file is not None and file.is_file():
            return msgspec.json.decode(file.read_bytes(), type=Scored)
        scored = self._score(sound, scout)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(scored))
            part.replace(file)
        return scored

    def speech_end(self, sound: Samples) -> int:
        """The end of the last window that the voice detector takes for speech."""
        self._vad.reset()
        end = 0
        for start in range(0, sound.size - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
            if self._vad.probability(sound[start : start + WINDOW_SAMPLES]) >= Audio().vad.threshold:
                end = start + WINDOW_SAMPLES
        return end

    def _score(self, sound: Samples, scout: bool) -> Scored:
        took: list[float] = []

        def look(first: int, end: int) -> Look:
            started = time.perf_counter()
            found = self._scorer.look(sound[first:end].astype(np.float32) / 32768.0)
            took.append((time.perf_counter() - started) * 1000)
            return Look(end, [round(one.logprob, 3) if math.isfinite(one.logprob) else None for one in found])

        utterances = []
        for first, ends in looks(sound, self._vad, self._scorer.last_look_ms):
            done: dict[int, Look] = {}
            if scout and ends:
                at = ends[min(_SCOUT, len(ends) - 1)]
                done[at] = look(first, at)
            if not scout or any(value is not None for one in done.values() for value in one.logprobs):
                done |= {end: look(first, end) for end in ends if end not in done}
            utterances.append([done[end] for end in sorted(done)])
        return Scored(sound.size / SAMPLE_RATE_HZ, utterances, took)


def measure(
    config: Config,
    models_dir: Path,
    folder: Path,
    *,
    noise: Path,
    negatives: Sequence[Path] = (),
    synthetic: Sequence[Path] = (),
    hours: float = math.inf,
    cache: Path | None = None,
) -> Measured:
    """Score everything. `hours`: the most that is heard of the synthetic talk.

    Raises `InputError` `file_missing`, what `read_file` raises, `ModelError`, and `ConfigError` `model_language`.
    """
    engine = load_engine(config.asr.model, config.language, models_dir)
    if not isinstance(engine, Moonshine):
        raise ModelError("model_unknown", f"{engine.name} does not score phrases.", "Choose a Moonshine model.")
    if not folder.is_dir():
        raise InputError(
            "file_missing", f"There are no recordings at {folder}.", "Name a folder with one for each phrase."
        )
    phrases = [phrase_of(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    scorer = PhraseScorer(engine, phrases)
    recorder = Recorder(engine.name, scorer, load_vad(config), cache)
    tried = list(trials(recorder, folder, read_sound(noise)))
    others: dict[str, list[Scored]] = {}
    if negatives:
        others["real speech"] = list(_scored(recorder, negatives, math.inf))
    if synthetic:
        others["synthetic talk"] = list(_scored(recorder, synthetic, hours))
    return Measured(scorer.phrases, scorer.priors, tried, others)


def _scored(recorder: Recorder, folders: Sequence[Path], hours: float) -> Iterator[Scored]:
    seconds = 0.0
    for path in [path for folder in folders for path in sound_files(folder)]:
        if seconds >= hours * 3600:
            return
        scored = recorder.score(read_sound(path), scout=True)
        seconds += scored.seconds
        yield scored


def looks(sound: Samples, vad: VoiceActivity, last_ms: int = LAST_LOOK_MS) -> Iterator[tuple[int, list[int]]]:
    """The first sample of each utterance in `sound`, and where each look at its beginning ends."""
    config = Audio()
    vad.reset()
    ear = Ear(config, vad, partials=False)
    block = config.block_ms * SAMPLE_RATE_HZ // 1000
    first: int | None = None
    ends: list[int] = []
    for start in range(0, sound.size + block, block):
        events = ear.hear(sound[start : start + block]) if start < sound.size else ear.finish()
        for event in events:
            match event:
                case Started():
                    first, ends = event.first_sample, []
                case Paused() | Ended() if first is not None:
                    end = min(first + event.samples.size, sound.size)
                    if is_due(end - first, None, last_ms) and end - first >= MIN_SAMPLES and end not in ends:
                        ends.append(end)
                    if isinstance(event, Ended):
                        yield first, ends
                        first = None
                case _:
                    pass
        if first is not None:
            looked_at = ends[-1] - first if ends else 0
            if is_due(ear.position - first, looked_at, last_ms, ear.silence_ms):
                ends.append(ear.position)


def in_noise(speech: Samples, noise: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """`mixing.mix` for int16."""
    mixed = mixing.mix(as_floats(speech), as_floats(noise), snr_db, rng)
    both: Samples = np.rint(mixed * 32767).astype(np.int16)
    return both


def trials(recorder: Recorder, folder: Path, noise: Samples, seed: int = 1) -> Iterator[Trial]:
    """Every clip of every phrase, clean and in noise. `folder` has a folder of clips per phrase, named like it."""
    for words in sorted(path for path in folder.iterdir() if path.is_dir()):
        for number, file in enumerate(sound_files(words)):
            clean = read_sound(file)
            noisy = in_noise(clean, noise, SNR_DB, np.random.default_rng([seed, number]))
            before = round(_BEFORE_S * SAMPLE_RATE_HZ)
            end = recorder.speech_end(clean) + before
            for condition, sound in (("clean", clean), (f"{SNR_DB:.0f} dB", noisy)):
                yield Trial(phrase_of(words), condition, recorder.score(_between_quiet(sound)), end)


def phrase_of(folder: Path) -> str:
    """`hey_computer` and `hey computer` are the same phrase."""
    return folder.name.replace("_", " ").replace("-", " ")


def _between_quiet(sound: Samples) -> Samples:
    draw = np.random.default_rng(0)
    parts = [draw.normal(0, 3, round(seconds * SAMPLE_RATE_HZ)) for seconds in (_BEFORE_S, _AFTER_S)]
    return np.concatenate([parts[0].astype(np.int16), sound, parts[1].astype(np.int16)])
