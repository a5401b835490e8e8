from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agentbox.asr.engine import Aborted, Capabilities, Recognition, Samples
from agentbox.asr.listener import Sentences
from agentbox.asr.load import load_engine
from agentbox.asr.wakeful import Wakeful
from agentbox.asr.worker import STUCK_S, InferenceThread
from agentbox.errors import InputError, ModelError
from agentbox.messages import Notice
from agentbox.speech_grammar import SpeechGrammar

PATIENCE_S = 10.0


class GatedEngine:
    """An engine that tells when it begins and ends when it is let go; a job's first sample is its number."""

    name = "gated"
    capabilities = Capabilities((), streaming=False, token_scores=False)

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.begins = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.rested = threading.Event()
        self.raises: dict[int, Exception] = {}

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        **_: object,
    ) -> Recognition:
        number = round(float(samples[0]))
        self.begun.append(number)
        self.begins.release()
        while not self.gate.acquire(timeout=0.01):
            if abort is not None and abort():
                raise Aborted
        if number in self.raises:
            raise self.raises[number]
        return Recognition(str(number), audio_ms=samples.size, confidence=speech_ms)

    def rest(self) -> None:
        self.rested.set()

    async def busy(self) -> None:
        """Wait until the next job is under way."""
        assert await asyncio.to_thread(self.begins.acquire, timeout=PATIENCE_S)

    def let(self, jobs: int = 1) -> None:
        self.gate.release(jobs)


def sound(number: int) -> NDArray[np.float32]:
    return np.full(1, number, np.float32)


@pytest.fixture
def gated() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def notices() -> list[Notice]:
    return []


@pytest.fixture
async def thread(gated: GatedEngine, notices: list[Notice]) -> AsyncIterator[InferenceThread]:
    worker = InferenceThread(gated, "en", max_waiting=3, rest_after_s=0.01, notify=notices.append)
    worker.start()
    yield worker
    gated.let(100)
    await worker.stop()
    assert not worker.alive()


async def text(answer: asyncio.Future[Recognition] | None) -> str:
    assert answer is not None
    return (await asyncio.wait_for(answer, PATIENCE_S)).text


async def test_finals_come_before_speculative_ones_and_in_their_order(
    thread: InferenceThread, gated: GatedEngine
) -> None:
    first = thread.final(sound(1))
    await gated.busy()
    guess, second, third = thread.speculative(sound(2)), thread.final(sound(3)), thread.final(sound(4))
    gated.let(4)
    assert [await text(answer) for answer in (first, guess, second, third)] == ["1", "2", "3", "4"]
    assert gated.begun == [1, 3, 4, 2]


async def test_what_is_handed_to_the_engine(thread: InferenceThread, gated: GatedEngine) -> None:
    gated.let(2)
    heard = await thread.final(np.array([-32768, 0], np.int16), 640)
    assert (heard.text, heard.audio_ms, heard.confidence) == ("-1", 2, 640)
    assert (await thread.final(np.array([0.0], np.float64).astype(np.float32))).confidence is None


async def test_a_partial_is_not_begun_while_the_thread_has_something_to_do(
    thread: InferenceThread, gated: GatedEngine
) -> None:
    final = thread.final(sound(1))
    assert thread.partial(sound(2)) is None
    await gated.busy()
    assert thread.partial(sound(3)) is None
    gated.let()
    assert await text(final) == "1"
    assert gated.begun == [1]


async def test_a_partial_under_way_makes_room(thread: InferenceThread, gated: GatedEngine) -> None:
    partial = thread.partial(sound(1))
    assert partial is not None
    await gated.busy()
    assert thread.partial(sound(2)) is None
    final = thread.final(sound(3))
    assert partial.cancelled()
    await gated.busy()  # the first gave up although nobody opened the gate
    gated.let()
    assert await text(final) == "3"
    assert gated.begun == [1, 3]


async def test_a_cancelled_job_leaves_the_queue(thread: InferenceThread, gated: GatedEngine) -> None:
    first = thread.final(sound(1))
    await gated.busy()
    unwanted, wanted = thread.speculative(sound(2)), thread.speculative(sound(3))
    assert unwanted is not None
    unwanted.cancel()
    await asyncio.sleep(0)
    gated.let(2)
    assert [await text(first), await text(wanted)] == ["1", "3"]
    assert gated.begun == [1, 3]


async def test_a_cancelled_job_under_way_is_given_up(thread: InferenceThread, gated: GatedEngine) -> None:
    guess = thread.speculative(sound(1))
    await gated.busy()
    assert guess is not None
    guess.cancel()
    final = thread.final(sound(2))
    await gated.busy()
    gated.let()
    assert await text(final) == "2"


async def test_what_one_job_raises_is_its_own(
    thread: InferenceThread, gated: GatedEngine, notices: list[Notice]
) -> None:
    gated.raises = {1: InputError("audio_not_finite", "a", "b"), 2: ModelError("model_failed", "what", "todo")}
    gated.let(3)
    answers = [thread.final(sound(number)) for number in (1, 2, 3)]
    with pytest.raises(InputError):
        await answers[0]
    with pytest.raises(ModelError) as failed:
        await answers[1]
    assert failed.value.what == "what"
    assert await text(answers[2]) == "3"
    assert [(notice.code, notice.level) for notice in notices] == [("model_failed", "error")]
    assert thread.alive()


async def test_an_error_that_no_engine_should_raise_is_told_without_its_text(
    thread: InferenceThread, gated: GatedEngine, notices: list[Notice], caplog: pytest.LogCaptureFixture
) -> None:
    gated.raises = {1: KeyError("what the owner said")}
    gated.let(2)
    failing, next_one = thread.final(sound(1)), thread.final(sound(2))
    with pytest.raises(ModelError) as failed:
        await failing
    assert (failed.value.code, [notice.code for notice in notices]) == ("model_failed", ["model_failed"])
    assert "KeyError, test_worker.py:" in caplog.text
    assert "the owner" not in caplog.text + str(failed.value)
    assert await text(next_one) == "2"


async def test_finals_past_the_bound_are_refused_and_counted(
    thread: InferenceThread, gated: GatedEngine, notices: list[Notice]
) -> None:
    running = thread.final(sound(0))
    await gated.busy()
    waiting = [thread.final(sound(number)) for number in (1, 2, 3)]
    for count in (1, 2):
        with pytest.raises(ModelError, match=f"{count} more") as refused:
            await thread.final(sound(9))
        assert refused.value.code == "asr_overloaded"
    assert len(notices) == 2
    gated.let(4)
    assert [await text(answer) for answer in (running, *waiting)] == ["0", "1", "2", "3"]


async def test_the_engine_rests_once_when_there_is_nothing_to_do(thread: InferenceThread, gated: GatedEngine) -> None:
    assert await asyncio.to_thread(gated.rested.wait, PATIENCE_S)
    gated.let()
    assert await text(thread.final(sound(1))) == "1"


async def test_the_engine_rests_after_much_work_in_the_first_gap(
    gated: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentbox.asr.worker.REST_AFTER_WORK_S", 1e-9)
    thread = InferenceThread(gated, "en", rest_after_s=3600.0)
    thread.start()
    gated.let()
    assert await text(thread.final(sound(1))) == "1"
    assert await asyncio.to_thread(gated.rested.wait, PATIENCE_S)
    await thread.stop()


async def test_it_is_primed_only_while_nothing_else_is_to_be_done_and_something_is_new(
    thread: InferenceThread, gated: GatedEngine
) -> None:
    thread.prime(sound(0), lambda _: None)  # this engine cannot decode under sentences
    assert not thread.listener.novel
    thread.listener.novel = True
    running = thread.final(sound(1))
    await gated.busy()
    thread.prime(sound(2), lambda _: None)
    gated.let()
    assert await text(running) == "1"
    thread.prime(sound(3), lambda _: None)
    await gated.busy()
    # What has to be known comes first.
    guess = thread.speculative(sound(4))
    gated.let(2)
    assert await text(guess) == "4"
    thread.listener.novel = False
    thread.prime(sound(5), lambda _: None)
    gated.let()
    assert await text(thread.final(sound(6))) == "6"
    assert gated.begun == [1, 3, 4, 6]


async def test_an_error_while_priming_is_told_once_and_not_missed_by_anybody(
    thread: InferenceThread, gated: GatedEngine, notices: list[Notice]
) -> None:
    missed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: missed.append(context))
    thread.listener.novel = True
    gated.raises[1] = ModelError("model_failed", "a", "b")
    thread.prime(sound(1), lambda _: None)
    await gated.busy()
    gated.let(2)
    async with asyncio.timeout(PATIENCE_S):
        while not notices:
            await asyncio.sleep(0.01)
    assert await text(thread.final(sound(2))) == "2"
    gated.raises.clear()  # its traceback holds the job
    gc.collect()
    assert [notice.code for notice in notices] == ["model_failed"]
    assert missed == []


async def test_a_look_lets_a_partial_go_on(thread: InferenceThread, gated: GatedEngine) -> None:
    partial = thread.partial(sound(1))
    await gated.busy()
    look = thread.look(sound(2), Wakeful(["computer"], 0.5, lambda _: False))
    gated.let()
    assert await text(partial) == "1"
    assert await look is None


@pytest.mark.parametrize("wrong", [KeyError("context"), ValueError("shape"), ModelError("model_failed", "a", "b")])
async def test_sentences_that_cannot_be_made_ready_do_not_make_it_deaf(
    thread: InferenceThread, gated: GatedEngine, wrong: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def prepare(_: Sentences) -> Iterator[None]:
        yield
        tried.set()
        raise wrong

    monkeypatch.setattr(thread.listener, "prepare", prepare)
    thread.prepare(Sentences(SpeechGrammar("en", True, {}, ()), ()))
    assert await asyncio.to_thread(tried.wait, PATIENCE_S)
    gated.let()
    assert await text(thread.final(sound(1))) == "1"


@pytest.mark.parametrize("wrong", [ModelError("model_failed", "a", "b"), ValueError("shape")])
async def test_an_engine_that_cannot_rest_goes_on(
    thread: InferenceThread, gated: GatedEngine, wrong: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rest() -> None:
        gated.rested.set()
        raise wrong

    monkeypatch.setattr(gated, "rest", rest)
    gated.let(2)
    assert await text(thread.final(sound(1))) == "1"
    assert await asyncio.to_thread(gated.rested.wait, PATIENCE_S)
    assert await text(thread.final(sound(2))) == "2"


async def test_a_thread_that_hangs_is_not_alive(
    thread: InferenceThread, gated: GatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr("agentbox.asr.worker.time", SimpleNamespace(monotonic=lambda: now_s[0]))

    async def comes_alive() -> None:
        """However much time has passed."""
        now_s[0] += 2 * STUCK_S
        async with asyncio.timeout(PATIENCE_S):
            while not thread.alive():
                await asyncio.sleep(0.002)

    await comes_alive()  # it waits for something to do
    hangs = threading.Event()

    def transcribe(*_: object, abort: Callable[[], bool], **__: object) -> Recognition:
        gated.begins.release()
        while not hangs.wait(0.001):  # slow, but it gets somewhere
            abort()
        gated.begins.release()
        gated.gate.acquire(timeout=PATIENCE_S)
        return Recognition("late")

    monkeypatch.setattr(gated, "transcribe", transcribe)
    answer = thread.final(sound(1))
    await gated.busy()
    await comes_alive()
    hangs.set()
    await gated.busy()
    now_s[0] += STUCK_S - 1
    assert thread.alive()
    now_s[0] += 1
    assert not thread.alive()
    gated.let()
    assert await text(answer) == "late"
    await comes_alive()


async def test_a_box_that_is_behind_decodes_nothing_twice(thread: InferenceThread, gated: GatedEngine) -> None:
    first = thread.final(sound(1))
    await gated.busy()
    assert thread.behind == 0
    guess = thread.speculative(sound(2))
    assert guess is not None
    second = thread.final(sound(3))
    assert thread.behind == 1
    assert thread.speculative(sound(4)) is None
    gated.let(3)
    assert [await text(answer) for answer in (first, second, guess)] == ["1", "3", "2"]
    assert gated.begun == [1, 3, 2]


async def test_another_engine_takes_over_between_two_jobs(thread: InferenceThread, gated: GatedEngine) -> None:
    other = GatedEngine()
    other.name = "other"
    first, second = thread.final(sound(1)), thread.final(sound(2))
    await gated.busy()
    thread.use(other)
    third = thread.final(sound(3))
    assert not other.begun  # it waits until the former has done its job
    gated.let(5)
    other.let(5)
    heard = [await answer for answer in (first, second, third)]
    assert [(one.text, one.engine) for one in heard] == [("1", "gated"), ("2", "other"), ("3", "other")]
    assert (gated.begun, other.begun) == ([1], [2, 3])
    assert await asyncio.to_thread(other.rested.wait, PATIENCE_S)


async def test_an_engine_that_was_replaced_is_let_go() -> None:
    engine = GatedEngine()
    engine.let(5)
    gone, worker = weakref.ref(engine), InferenceThread(engine, "en")
    engine.raises = {2: ModelError("model_failed", "a", "b")}
    del engine
    worker.start()
    try:
        await worker.final(sound(1))
        with pytest.raises(ModelError) as failed:
            await worker.final(sound(2))
        other = GatedEngine()
        other.let(5)
        worker.use(other)
        await worker.final(sound(3))
        gc.collect()
        assert gone() is None, f"{failed.value} holds it"
    finally:
        await worker.stop()


async def test_after_a_change_what_the_former_held_is_given_back_at_once(gated: GatedEngine) -> None:
    worker = InferenceThread(gated, "en", rest_after_s=60)
    worker.start()
    try:
        other = GatedEngine()
        worker.use(other)
        worker.prepare(Sentences(SpeechGrammar("en", True, {}, ()), ()))
        assert await asyncio.to_thread(other.rested.wait, PATIENCE_S)
    finally:
        await worker.stop()


async def test_stopping_cancels_what_waits_and_lets_the_rest_end(gated: GatedEngine) -> None:
    worker = InferenceThread(gated, "en")
    assert not worker.alive()
    worker.start()
    running = worker.final(sound(1))
    await gated.busy()
    waiting = worker.final(sound(2))
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    gated.let(2)
    await stopping
    await worker.stop()
    assert waiting.cancelled()
    assert worker.final(sound(3)).cancelled()
    assert (await running).text == "1"
    assert gated.begun == [1]


async def test_a_thread_never_started_can_be_stopped(gated: GatedEngine) -> None:
    worker = InferenceThread(gated, "en")
    await worker.stop()
    assert not worker.alive()


def test_a_loop_that_is_gone_ends_the_thread(gated: GatedEngine) -> None:
    async def begin() -> InferenceThread:
        worker = InferenceThread(gated, "en")
        worker.start()
        worker.final(sound(1))
        await gated.busy()
        return worker

    worker = asyncio.run(begin())
    gated.let()
    asyncio.run(worker.stop())
    assert not worker.alive()


async def test_the_real_model_in_the_thread(models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> None:
    worker = InferenceThread(load_engine("moonshine-tiny-en", "en", models_dir, fetch_missing=False), "en")
    worker.start()
    pcm = (recordings["beckett"] * 32767).astype(np.int16)
    try:
        answers = [worker.final(pcm, 7000), worker.final(pcm[:0], 0)]
        heard = await asyncio.gather(*answers)
    finally:
        await worker.stop()
    assert heard[0].text.startswith("Ever tried, ever failed")
    assert heard[1].suppressed == "too_short"


async def test_the_words_grow_while_an_engine_writes_them() -> None:
    class Writing(GatedEngine):
        def transcribe(self, samples: Samples, **how: Any) -> Recognition:
            for text in ("what", "what time"):
                how["partial"](text)
            return super().transcribe(samples, **how)

    engine = Writing()
    worker = InferenceThread(engine, "en")
    worker.start()
    grown: list[str] = []
    shown = worker.partial(sound(1), told=grown.append)
    await engine.busy()
    engine.let()
    assert await text(shown) == "1"
    assert grown == ["what", "what time"]
    await worker.stop()


async def test_a_slow_engine_rests_between_two_partials(thread: InferenceThread, gated: GatedEngine) -> None:
    first = thread.partial(sound(1))
    await gated.busy()
    await asyncio.sleep(0.3)
    gated.let(2)
    assert await text(first) == "1"
    assert thread.partial(sound(2)) is None
    await asyncio.sleep(0.4)
    assert await text(thread.partial(sound(3))) == "3"
