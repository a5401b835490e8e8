"""What the first model is not sure of is read once more: when, for how long at most, and whose words count."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings

from agentbox.asr.engine import Correction, Recognition
from agentbox.asr.listener import Ask
from agentbox.asr.worker import Sound
from agentbox.config import Asr, Config, Tools
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Heard
from agentbox.daemon.questions import Questions
from agentbox.daemon.second_reading import SecondReading
from agentbox.daemon.transcript import transcript_of
from agentbox.errors import ModelError
from agentbox.intents.followups import FollowUps
from agentbox.messages import ActivatedBy, Intent, Notice, NotUnderstood, Reply, StageEvent, Utterance, new_id
from agentbox.settings import Loaded
from agentbox.tools.policy import Confirmations

pytestmark = pytest.mark.asyncio(loop_scope="module")

PCM = b"\1\0" * 16_000
FOR_EVER_S = 600.0
TIMER = "set a timer for five minutes"
"""The box knows it word for word."""
GARBLED = "shed a dimer"
"""It does not know that."""
ALIKE = "what thyme is it"
"""It is alike enough."""
LIST = "add pomme granites to my shopping list"
"""A command with words in it that are anybody's."""


class Second:
    """The second model: `answers` in turn; an error is raised, and null is no answer at all."""

    def __init__(self, *answers: Recognition | Exception | None) -> None:
        self.answers = list(answers)
        self.free = Recognition("")
        """Its words, as far as they are known when nothing else is."""
        self.asked: list[tuple[int, asyncio.Future[Recognition]]] = []
        self.asking = asyncio.Event()

    def final(self, sound: Sound, speech_ms: int | None = None, ask: Ask | None = None) -> asyncio.Future[Recognition]:
        future: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0) if self.answers else None
        if self.free.text and ask is not None:
            ask(self.free)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        self.asked.append((sound.size, future))
        self.asking.set()
        return future


class Brain:
    """A text model that is on; what it is asked is kept."""

    policy, is_on, answers = "local_first", True, True

    def __init__(self) -> None:
        self.told: list[str] = []

    async def take(self, turn: Any, host: Any, local: Any) -> bool:
        self.told.append(turn.text)
        host.answer(Reply(utterance_id=turn.id, text="Well.", sound="done", outcome="done"))
        return True


class Room:
    """A box without ears, what it told, and what it reads again with."""

    def __init__(self, core: Core, second: Second, seen: list[StageEvent]) -> None:
        self.core, self.second, self.seen = core, second, seen

    async def hear(
        self,
        text: str,
        confidence: float | None = 0.5,
        by: ActivatedBy | None = "push_to_talk",
        ended_s: float = 0.0,
        **more: Any,
    ) -> Reply | None:
        """In its turn, as the box takes them."""
        heard = made(Recognition(text, confidence, **more), by, ended_s)
        async with self.core.turn_lock:
            return await self.core.turns.heard(heard)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.seen if event.stage == "second"]

    @property
    def understood(self) -> list[str]:
        meant = [one.message for one in self.seen if isinstance(one.message, Intent | NotUnderstood)]
        return [one.name if isinstance(one, Intent) else f"? {one.text}" for one in meant]


def made(recognition: Recognition, by: ActivatedBy | None, ended_s: float = 0.0) -> Heard:
    utterance = Utterance(
        id=new_id(), started_at=0.0, first_sample=0, pcm=PCM, speech_ms=900, silence_ms=250, end_reason="silence"
    )
    transcript = transcript_of(recognition, utterance, ("en",), "first")
    return Heard(utterance, transcript, by, ended_s, {}, recognition)


Make = Callable[..., contextlib.AbstractContextManager[Room]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Core]:
    """One for all tests: its sentences take a second to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTBOX_STATE", str(tmp_path_factory.mktemp("state")))
        async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as made:
            yield made


@pytest.fixture
def room(core: Core) -> Make:
    return partial(room_of, core)


@contextlib.contextmanager
def room_of(core: Core, *answers: Recognition | Exception | None, **asr: Any) -> Iterator[Room]:
    """The box with a second model; nothing of what was said before is left open."""
    talk = core.attention.talk
    talk.activation.answered()
    core.attention.talk = replace(
        talk, followups=FollowUps(30), confirmations=Confirmations(20), questions=Questions(20), asked=None
    )
    seen: list[StageEvent] = []
    forget = core.events.subscribe(seen.append)
    second, wanted = Second(*answers), msgspec.structs.replace(Asr(second_within_s=FOR_EVER_S), **asr)
    core.turns.second = SecondReading(lambda: second, lambda: wanted, core.attention, core.events, lambda: 0.0)
    core.turns.brain = None
    try:
        yield Room(core, second, seen)
    finally:
        forget()


@pytest.mark.parametrize(
    ("text", "confidence", "by", "brain", "read_again"),
    [
        pytest.param(TIMER, 0.5, "push_to_talk", True, False, id="a certain command never waits"),
        pytest.param("stop", 0.1, "push_to_talk", True, False, id="nor does stop"),
        pytest.param(LIST, 0.5, "push_to_talk", False, True, id="a command with free words that may be misread"),
        pytest.param(LIST, 0.95, "push_to_talk", False, False, id="the same, read surely"),
        pytest.param(ALIKE, 0.5, "push_to_talk", False, True, id="what is only alike"),
        pytest.param(ALIKE, 0.95, "push_to_talk", False, False, id="the same, read surely"),
        pytest.param(GARBLED, 0.5, "push_to_talk", False, True, id="not understood"),
        pytest.param(GARBLED, None, "push_to_talk", False, True, id="by an engine that does not say how sure it is"),
        pytest.param(GARBLED, 0.95, "push_to_talk", False, False, id="surely not understood, and nobody else is asked"),
        pytest.param(GARBLED, 0.95, "push_to_talk", True, True, id="the words go to a text model"),
        pytest.param(GARBLED, 0.5, "always", False, False, id="nobody called the box"),
        pytest.param(GARBLED, 0.5, "always", True, True, id="the owner has all words answered"),
        pytest.param(ALIKE, 0.5, "follow_up", False, False, id="said after an answer"),
        pytest.param(f"hey computer {GARBLED}", 0.5, None, False, True, id="after the wake phrase"),
        pytest.param("they are talking to each other", 0.1, None, True, False, id="not for the box"),
        pytest.param("hey computer", 0.1, None, True, False, id="the wake phrase alone"),
    ],
)
async def test_what_is_read_again(
    room: Make, text: str, confidence: float | None, by: ActivatedBy | None, brain: bool, read_again: bool
) -> None:
    with room(Recognition("")) as box:
        if brain:
            box.core.turns.brain = Brain()  # type: ignore[assignment]
        await box.hear(text, confidence, by)
        assert bool(box.second.asked) == read_again
        assert len(box.states) == len(box.second.asked)


@pytest.mark.parametrize(
    ("first", "second", "state", "understood"),
    [
        (GARBLED, TIMER, "taken", ["HassStartTimer"]),
        (ALIKE, "what time is it", "taken", ["HassGetCurrentTime"]),
        (GARBLED, "what is the capital of france", "taken", ["? what is the capital of france"]),
        (LIST, "add pomegranates to my shopping list", "taken", ["HassShoppingListAddItem"]),
        (ALIKE, GARBLED, "unused", ["HassGetCurrentTime"]),
        (GARBLED, GARBLED, "same", [f"? {GARBLED}"]),
        (GARBLED, "", "nothing", [f"? {GARBLED}"]),
        (GARBLED, "hey computer", "nothing", [f"? {GARBLED}"]),
    ],
)
async def test_whose_words_count(room: Make, first: str, second: str, state: str, understood: list[str]) -> None:
    with room(Recognition(second, 0.97, engine="strong")) as box:
        await box.hear(f"hey computer {first}", by=None)
        assert (box.states, box.understood) == ([state], understood)


async def test_the_better_words_go_to_the_text_model_and_both_readings_are_kept(room: Make) -> None:
    better = Recognition("Hey computer, why is the sky blue?", 0.97, engine="strong", decode_ms=300.0)
    with room(better) as box:
        box.core.turns.brain = brain = Brain()  # type: ignore[assignment]
        await box.hear("hey computer whites the sky blew", 0.95, by=None)
        assert brain.told == ["why is the sky blue"]
        [event] = [event for event in box.seen if event.stage == "second"]
        assert set(event.timings) == {"second_wait_ms", "second_decode_ms"}
        *_, turn = await box.core.read_journal(lambda: list(box.core.journal.export()))
        told: Any = turn
        assert (told["transcript"]["text"], told["transcript"]["engine"]) == (better.text, "strong")
        assert told["text"] == "why is the sky blue", "without the wake phrase"
        [other] = told["readings"]
        assert (other["kind"], other["text"], other["engine"], other["confidence"]) == (
            "first", "hey computer whites the sky blew", "first", 0.95,
        )  # fmt: skip
        for words in ("whites", "why"):
            assert len(box.core.journal.search(words)) == 1


async def test_words_before_a_name_was_put_right_are_kept_of_both(room: Make) -> None:
    first = "call shiv on cast early later"
    again = Recognition("call Siobhan Casserly later", 0.9, as_read="call Siobhan Casually later")
    with room(again) as box:
        heard = f"hey computer {first}"
        changed = heard.replace("shiv on cast early", "Siobhan Casserly").replace("later", "lighter")
        put_right = (Correction("shiv on cast early", "Siobhan Casserly", 0),)
        await box.hear(changed, by=None, corrections=put_right, as_read=heard)
        *_, turn = await box.core.read_journal(lambda: list(box.core.journal.export()))
        told: Any = turn
        assert told["transcript"]["text"] == again.text
        assert {one["kind"]: one["text"] for one in told["readings"]} == {
            "first": changed,
            "first_as_read": heard,
            "second_as_read": again.as_read,
        }


async def test_when_time_is_over_the_first_counts_and_the_second_is_called_off(room: Make) -> None:
    with room(None, second_within_s=0.01) as box:
        await box.hear(GARBLED)
        assert (box.states, box.understood) == (["late"], [f"? {GARBLED}"])
        assert box.second.asked[0][1].cancelled()


async def test_when_time_is_over_the_words_that_are_known_count_without_the_sentences(room: Make) -> None:
    with room(None, second_within_s=0.01, second_model="/srv/strong") as box:
        box.second.free = Recognition(TIMER, 0.97)
        await box.hear(GARBLED)
        assert (box.states, box.understood) == (["taken"], ["HassStartTimer"])
        [event] = [event for event in box.seen if event.stage == "second"]
        assert getattr(event.message, "engine", None) == "strong"
        assert box.second.asked[0][1].cancelled()


async def test_time_counts_from_the_last_word(room: Make) -> None:
    with room(Recognition(TIMER), second_within_s=2.5) as box:
        await box.hear(GARBLED, ended_s=-2.5)
        assert (box.states, box.second.asked) == (["late"], []), "a box that is behind reads nothing twice"


async def test_where_the_second_fails_the_first_counts(room: Make) -> None:
    with room(ModelError("model_failed", "no", "")) as box:
        await box.hear(GARBLED)
        assert (box.states, box.understood) == (["failed"], [f"? {GARBLED}"])


async def test_where_there_is_no_second_now_nothing_is_told(room: Make) -> None:
    with room() as box:
        box.core.turns.second = SecondReading(lambda: None, Asr, box.core.attention, box.core.events)
        await box.hear(GARBLED)
        assert (box.states, box.understood) == ([], [f"? {GARBLED}"])


async def test_who_speaks_to_the_box_meanwhile_does_not_wait_and_comes_second(room: Make) -> None:
    with room(None) as box:
        first = asyncio.create_task(box.hear(GARBLED))
        await box.second.asking.wait()
        reading = box.core.turns.second
        assert reading is not None
        reading.outdated(made(Recognition("they are talking to each other", 0.9), None))
        await asyncio.sleep(0)
        assert not first.done(), "talk that is not for the box changes nothing"
        reading.outdated(made(Recognition("stop", 0.9), "push_to_talk"))
        await asyncio.gather(first, box.hear("stop", 0.9))
        assert (box.states, box.understood) == (["given_up"], [f"? {GARBLED}", "AgentboxStop"])


async def test_who_types_meanwhile_does_not_wait(room: Make) -> None:
    with room(None) as box:
        first = asyncio.create_task(box.hear(GARBLED))
        await box.second.asking.wait()
        await box.core.ask(TIMER)
        assert first.done()
        assert box.understood == [f"? {GARBLED}", "HassStartTimer"]


async def test_what_the_second_understands_is_asked_about_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(tools=Tools(policy={"start_timer": {"speech": "confirm"}}))
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as careful:
        with room_of(careful, Recognition(TIMER, 0.97)) as box:
            reply = await box.hear(GARBLED)
            assert reply is not None
            assert (reply.outcome, box.states) == ("question", ["taken"])
            assert not [event for event in box.seen if (event.stage, event.state) == ("tool_result", "ok")]


async def test_of_what_was_said_before_the_wake_phrase_nothing_is_read_again(room: Make) -> None:
    with room(Recognition(TIMER)) as box:
        await box.hear(f"well hey computer {GARBLED}", by=None)
        [(samples, _)] = box.second.asked
        assert 0 < samples < len(PCM) // 2


async def test_what_was_said_amidst_secrets_is_not_read_again(room: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with room(Recognition(TIMER)) as box:
        monkeypatch.setattr(box.core.attention, "confiding", lambda heard: True)
        await box.hear(GARBLED, as_read="a secret that was read")
        assert box.second.asked == []
        assert "secret" not in str([event.message for event in box.seen])


OUTCOMES: dict[str, Recognition | Exception | None] = {
    "taken": Recognition(TIMER, 0.99),
    "same": Recognition(GARBLED, 0.99),
    "failed": ModelError("model_failed", "no", ""),
    "late": None,
}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.sampled_from([*OUTCOMES, "certain", "given_up"]), max_size=6))
async def test_turns_stay_in_the_order_in_which_they_were_spoken(room: Make, plan: list[str]) -> None:
    answers = [OUTCOMES.get(one) for one in plan if one != "certain"]
    with room(*answers, second_within_s=0.02 if "late" in plan else FOR_EVER_S) as box:
        spoken = [made(Recognition("stop" if one == "certain" else GARBLED, 0.5), "push_to_talk") for one in plan]

        async def turn(heard: Heard) -> None:
            async with box.core.turn_lock:
                box.second.asking.clear()
                order.append(heard.utterance.id)
                await box.core.turns.heard(heard)

        order: list[str] = []
        tasks = [asyncio.create_task(turn(heard)) for heard in spoken]
        for one, task in zip(plan, tasks, strict=True):
            if one == "given_up":
                while not task.done():
                    assert box.core.turns.second is not None
                    box.core.turns.second.give_up()
                    await asyncio.sleep(0)
            await task
        replies = [event.utterance_id for event in box.seen if isinstance(event.message, Reply)]
        assert replies == order, "one answer each, in their order"
        told = [event.utterance_id for event in box.seen if event.stage == "second"]
        assert told == [turn for turn, one in zip(order, plan, strict=True) if one != "certain"]
        if "late" not in plan:
            assert box.states == [one for one in plan if one != "certain"]
        assert all(future.done() for _, future in box.second.asked)
        assert not [event for event in box.seen if isinstance(event.message, Notice)]
