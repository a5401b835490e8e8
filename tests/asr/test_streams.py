"""An engine that works while the owner speaks, behind the listener and in the inference thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples, can_stream
from agentbox.asr.listener import PIECE_SAMPLES, Listener
from agentbox.asr.worker import InferenceThread
from agentbox.asr.zipformer import Zipformer, open_model
from agentbox.errors import ModelError
from agentbox.messages import Notice
from tests.asr.test_worker import GatedEngine
from tests.asr.zipformer_graphs import sound, write

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Zipformer:
    return open_model(write(tmp_path_factory.mktemp("streams") / "own", 21), Opening(name="own"))


class Counted:
    """Counts what an engine is given to hear, and when it begins anew."""

    name = "counted"
    capabilities = Capabilities((), streaming=True, token_scores=True)

    def __init__(self, model: Zipformer) -> None:
        self.model = model
        self.transcribe = model.transcribe
        self.rest = model.rest
        self.streams = self.samples = 0
        self.fails = False

    def open_stream(self, *, language: str, hints: Hints = NO_HINTS) -> CountedStream:
        self.streams += 1
        return CountedStream(self)


class CountedStream:
    def __init__(self, engine: Counted) -> None:
        self._engine = engine
        self._stream = engine.model.open_stream(language="en")
        self.partial = self._stream.partial
        self.finish = self._stream.finish

    def accept(self, samples: Samples) -> None:
        if self._engine.fails:
            raise ModelError("model_failed", "what", "todo")
        self._engine.samples += samples.size
        self._stream.accept(samples)


def whole(model: Zipformer, samples: Samples) -> tuple[tuple[int, ...], tuple[float, ...]]:
    heard = model.transcribe(samples, language="en")
    assert len(heard.tokens) > 5
    return heard.tokens, heard.token_logprobs


def final(listener: Listener, samples: Samples) -> tuple[tuple[int, ...], tuple[float, ...]]:
    heard = listener.hear(samples, language="en")
    return heard.tokens, heard.token_logprobs


def test_sound_is_heard_once(model: Zipformer) -> None:
    engine = Counted(model)
    listener, samples = Listener(engine), sound(0, 2.0)
    assert listener.streams
    for end in range(5120, samples.size, 5120):
        shown = listener.partial(samples[:end], language="en")
        assert (shown.audio_ms, shown.confidence, shown.tokens) == (end // 16, None, ())
        assert shown.decode_ms >= 0
    assert shown.text
    paused = listener.hear(samples[:31_000], language="en")
    assert paused.text.startswith(shown.text)
    assert final(listener, samples) == whole(model, samples)
    assert (engine.streams, engine.samples) == (1, samples.size)


def test_another_sound_is_another_utterance(model: Zipformer) -> None:
    engine = Counted(model)
    listener, first, second = Listener(engine), sound(0, 2.0), sound(1, 2.0)
    listener.partial(first[:20_000], language="en")
    assert final(listener, second) == whole(model, second)
    assert engine.streams == 2
    # Cut at its greatest length an utterance ends before what was heard of it.
    listener.partial(first, language="en")
    assert final(listener, first[:24_000]) == whole(model, first[:24_000])
    assert final(listener, first[24_000:]) == final(Listener(engine), first[24_000:])
    assert engine.streams == 6
    listener.partial(first, language="zh")
    listener.partial(first, language="en")
    assert engine.streams == 8


def test_what_was_called_off_is_gone_on_with(model: Zipformer) -> None:
    engine = Counted(model)
    listener, samples = Listener(engine), sound(0, 2.0)
    asked = iter([False, False, True])
    with pytest.raises(Aborted):
        listener.partial(samples, language="en", abort=lambda: next(asked))
    assert engine.samples == 2 * PIECE_SAMPLES
    assert final(listener, samples) == whole(model, samples)
    assert (engine.streams, engine.samples) == (1, samples.size)


def test_what_was_said_is_not_kept_at_rest(model: Zipformer) -> None:
    """Whoever mutes the box amidst a sentence has not said it."""
    engine = Counted(model)
    listener, samples = Listener(engine), sound(0, 2.0)
    listener.partial(samples, language="en")
    streams = [weakref.ref(kept) for kept in gc.get_objects() if type(kept) is CountedStream]
    listener.rest()
    gc.collect()
    assert [stream() for stream in streams] == [None]
    assert final(listener, samples) == whole(model, samples)


def test_what_failed_is_not_gone_on_with(model: Zipformer) -> None:
    engine = Counted(model)
    listener, samples = Listener(engine), sound(0, 2.0)
    listener.partial(samples[:16_000], language="en")
    engine.fails = True
    with pytest.raises(ModelError):
        listener.partial(samples, language="en")
    engine.fails = False
    assert final(listener, samples) == whole(model, samples)
    assert engine.streams == 2


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 16_000), st.sampled_from(["partial", "hear", "off"])), max_size=6))
def test_whatever_was_asked_before_the_final_is_the_same(model: Zipformer, asked: list[tuple[int, str]]) -> None:
    listener, samples = Listener(model), sound(0, 1.0)
    for end, what in asked:
        if what == "off":
            with contextlib.suppress(Aborted):
                listener.partial(samples[:end], language="en", abort=itertools.cycle([False, True]).__next__)
        elif what == "hear":
            listener.hear(samples[:end], language="en")
        else:
            listener.partial(samples[:end], language="en")
    assert final(listener, samples) == whole(model, samples)


class GatedStreams(GatedEngine):
    """A job takes as long as the test wants; then the words are how much was heard."""

    capabilities = Capabilities((), streaming=True, token_scores=False)

    def open_stream(self, *, language: str, hints: Hints = NO_HINTS) -> GatedStream:
        return GatedStream(self)


class GatedStream:
    def __init__(self, engine: GatedStreams) -> None:
        self._engine = engine
        self._heard = 0

    def accept(self, samples: Samples) -> None:
        self._heard += samples.size

    def partial(self, *, abort: Callable[[], bool] | None = None) -> str:
        return self._engine.transcribe(np.full(1, self._heard, np.float32), language="en", abort=abort).text

    def finish(self, *, speech_ms: int | None = None, abort: Callable[[], bool] | None = None) -> Recognition:
        return Recognition(self.partial(abort=abort))


@pytest.fixture
def gated() -> GatedStreams:
    return GatedStreams()


@pytest.fixture
def notices() -> list[Notice]:
    return []


@pytest.fixture
async def thread(gated: GatedStreams, notices: list[Notice]) -> AsyncIterator[InferenceThread]:
    assert can_stream(gated)
    worker = InferenceThread(gated, "en", max_waiting=3, notify=notices.append)
    worker.start()
    yield worker
    gated.let(100)
    await worker.stop()


async def text(answer: asyncio.Future[Recognition] | None) -> str:
    assert answer is not None
    return (await asyncio.wait_for(answer, PATIENCE_S)).text


def quiet(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


async def test_under_load_the_words_so_far_stop_first_and_nothing_is_lost(
    thread: InferenceThread, gated: GatedStreams
) -> None:
    gated.let()
    assert await text(thread.partial(quiet(5000))) == "5000"
    busy = thread.final(np.ones(7, np.float32))
    for _ in range(2):
        await gated.busy()
    assert thread.partial(quiet(9000)) is None
    thread.prime(quiet(9000), lambda _: None)
    gated.let(2)
    assert await text(busy) == "7"
    assert await text(thread.final(quiet(12_000))) == "12000"
    assert gated.begun == [5000, 7, 12_000]


async def test_a_partial_under_way_makes_room(thread: InferenceThread, gated: GatedStreams) -> None:
    partial = thread.partial(quiet(5000))
    await gated.busy()
    final = thread.final(quiet(8000))
    assert partial is not None
    assert partial.cancelled()
    await gated.busy()
    gated.let()
    assert await text(final) == "8000"


async def test_the_engine_works_while_the_owner_speaks_though_nobody_looks_on(
    thread: InferenceThread, gated: GatedStreams, notices: list[Notice]
) -> None:
    gated.let(2)
    thread.prime(quiet(5000), lambda _: None)
    await gated.busy()
    gated.raises = {6000: ModelError("model_failed", "what", "todo")}
    while thread._busy():
        await asyncio.sleep(0)
    thread.prime(quiet(6000), lambda _: None)
    await gated.busy()
    gated.let()
    assert await text(thread.final(quiet(8000))) == "8000"
    assert gated.begun == [5000, 6000, 8000]
    assert [notice.code for notice in notices] == ["model_failed"]


async def test_a_real_stream_in_the_thread(model: Zipformer, tmp_path: Path) -> None:
    worker, samples = InferenceThread(model, "en"), sound(0, 2.0)
    worker.start()
    pcm = (samples * 32767).astype(np.int16)
    try:
        shown = [await text(worker.partial(pcm[:end])) for end in (8000, 16_000, 24_000)]
        heard = await worker.final(pcm, 2000)
    finally:
        await worker.stop()
    assert shown[0] != shown[2]
    assert shown[2].startswith(shown[1])
    assert (
        heard.tokens
        == model.transcribe(pcm.astype(np.float32) / np.float32(32768), language="en", speech_ms=2000).tokens
    )
