"""The vendors' dialogs and recognisers, each with its test server, and in what they differ (test_dialogs.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any

from agentbox.realtime.backends import make_session
from agentbox.realtime.doubao import Code
from agentbox.realtime.events import AnswerDone, Event, Resumable, Used
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Script
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.servers.doubao import APP, USAGE, DoubaoServer
from tests.realtime.servers.doubao_duplex import DoubaoDuplexServer
from tests.realtime.servers.gemini import GeminiServer
from tests.realtime.servers.openai import OpenAIServer
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.servers.seed_asr import SeedASRServer
from tests.realtime.servers.stepfun import StepFunServer
from tests.realtime.talks import WEATHER


@dataclass(frozen=True)
class Vendor:
    """A dialog or a recogniser, its test server, and what they are like."""

    kind: str
    server: Callable[..., Any]
    model: str = ""
    path: str = ""
    """Behind the server's address."""
    query: str = ""
    """Behind that."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of its account and its session."""
    quirks: Mapping[str, Any] = field(default_factory=dict)
    """What the server does of that which a vendor's documents leave open."""
    session: str | None = "sess_1"
    answer: str = "resp_{}"
    calls_apart: bool = False
    """What it says before it calls a tool is an answer of its own."""
    answers_at_once: bool = False
    """Two turns that come together get one answer."""
    partials: Sequence[str] = ()
    units: Mapping[str, float] = field(default_factory=dict)
    handle: str = ""
    late: type[Event] | None = None
    """What is told after the answer's end."""
    bad: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are refused, and with which code."""
    bad_code: str = ""
    spoken: Callable[[Any], None] = lambda server: None
    """What a turn, from its beginning to the connection's end, has to leave with the vendor."""
    cut: Callable[[Any], None] = lambda server: None
    """What an interruption after 60 ms, and two turns after it, have to leave."""
    results: Callable[[Any], None] = lambda server: None
    """What the results of `call_1` and `call_2` have to leave."""

    def serve(self, script: Script | None = None, piece_s: float = 0.0) -> Any:
        server = self.server(script, piece_s=piece_s) if script else self.server()
        for name, value in self.quirks.items():
            setattr(server, name, value)
        return server

    def dialog(self, server: Any, **other: Any) -> Any:
        account: dict[str, Any] = {"key": KEY, "model": self.model, "url": server.url + self.path}
        setup: dict[str, Any] = {"instructions": "Be brief.", "tools": (WEATHER,)}
        ours = {one.name for one in fields(Account)}
        for name, value in {**self.settings, **other}.items():
            (account if name in ours else setup)[name] = value
        return make_session(self.kind, Account(**account), Setup(**setup))

    def done(self, number: int) -> AnswerDone:
        return AnswerDone(self.answer.format(number), "completed")


def openai_spoken(server: Any) -> None:
    assert server.kinds()[0] == "session.update"


def openai_cut(server: Any) -> None:
    assert "response.cancel" in server.kinds()
    cuts = [frame for frame in server.frames if frame["type"] == "conversation.item.truncate"]
    assert [(cut["item_id"], cut["audio_end_ms"]) for cut in cuts] == [("item_resp_1_0", 60)]


def beta_spoken(server: Any) -> None:
    """As those do who kept OpenAI's older names."""
    session = server.frames[0]["session"]
    assert session["turn_detection"] is None
    assert session["tools"][0]["function"]["name"] == "get_weather"
    assert all(frame["event_id"] for frame in server.frames)


def unnamed_cut(server: Any) -> None:
    """The answer is cancelled without its id, and cut by no such event as OpenAI has."""
    cancels = [frame for frame in server.frames if frame["type"] == "response.cancel"]
    assert [frame.keys() for frame in cancels] == [{"type", "event_id"}]
    assert "conversation.item.truncate" not in server.kinds()


def stateless_cut(server: Any) -> None:
    assert server.interrupted == 1
    assert server.restored >= 1
    assert "response.cancel" not in server.kinds()
    asked = [frame["response"] for frame in server.frames if frame["type"] == "response.create"]
    history = [one["history"] for one in asked if "interrupt_current_response" not in one][1]
    assert [item.get("role") for item in history].count("assistant") <= 1


def gemini_spoken(server: Any) -> None:
    assert server.kinds() == ["setup", "activityStart", "audio", "activityEnd"]


def gemini_cut(server: Any) -> None:
    """The next turn's beginning is the interruption."""
    assert server.kinds() == ["setup", *["activityStart", "audio", "activityEnd"] * 3]


def gemini_results(server: Any) -> None:
    """All of them at once."""
    (sent,) = [frame["toolResponse"] for frame in server.frames if "toolResponse" in frame]
    assert [response["response"] for response in sent["functionResponses"]] == [
        {"output": {"text": "sunny"}},
        {"error": "no such town"},
    ]


def doubao_spoken(server: Any) -> None:
    assert server.events() == [1, 100, 200, 400, 102, 2]


def doubao_cut(server: Any) -> None:
    assert server.events() == [1, 100, 200, 400, 515, 513, 200, 400, 200, 400, 102, 2]
    cut = next(frame for frame in server.frames if frame["type"] == Code.CONVERSATION_TRUNCATE)
    assert (cut["item_id"], cut["audio_end_ms"]) == ("r_1", 60)


def duplex_spoken(server: Any) -> None:
    assert server.kinds() == [
        "session.create",
        "input_audio_mute.commit",
        "input_audio_unmute.commit",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_mute.commit",
        "session.close",
    ]
    assert server.requests[0].headers["X-Api-Key"] == KEY
    assert server.frames[0]["extension"]["dialog"]["extra"] == {"input_mod": "push_to_talk"}


def duplex_cut(server: Any) -> None:
    assert server.kinds().count("response.cancel") == 1


def duplex_results(server: Any) -> None:
    items = [frame["items"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert [[item["call_id"] for item in some] for some in items] == [["call_1", "call_2"]]


COUNTS = {"input_tokens": 20.0, "output_tokens": 30.0, "total_tokens": 50.0}
BILL = COUNTS | {"output_token_details.audio_tokens": 25.0, "output_token_details.text_tokens": 5.0}

OPENAI = Vendor(
    "openai",
    OpenAIServer,
    query="?model=gpt-realtime-2.1",
    partials=("what is the ", "what is the weather?"),
    units=BILL,
    bad={"options": {"type": "nonsense"}},
    bad_code="invalid_value",
    spoken=openai_spoken,
    cut=openai_cut,
)
QWEN = Vendor(
    "qwen",
    QwenServer,
    partials=("what is the ", "what is the whether"),
    units=BILL,
    bad={"options": {"modalities": ["smell"]}},
    bad_code="invalid_value",
    spoken=beta_spoken,
    cut=unnamed_cut,
)
QWENS = {
    name: replace(QWEN, model=model, query=f"?model={model}", partials=QWEN.partials if name != "omni" else ())
    for name, model in (
        ("audio", "qwen-audio-3.0-realtime-plus"),
        ("omni_3_8", "qwen3.8-omni-flash-realtime"),
        ("omni", "qwen3.5-omni-flash-realtime"),
    )
}
STEPFUN = Vendor(
    "stepfun",
    StepFunServer,
    query="?model=stepaudio-2.5-realtime",
    units=BILL,
    bad={"voice": "nobody"},
    bad_code="invalid_param",
    spoken=beta_spoken,
    cut=unnamed_cut,
)
STATELESS = Vendor(
    "stepfun_stateless",
    StepFunServer,
    path="/stateless",
    query="?model=step-overture-preview",
    settings={"voice": "linjiajiejie"},
    session="",
    units=BILL,
    cut=stateless_cut,
)
GEMINI = Vendor(
    "gemini",
    GeminiServer,
    session="session_1",
    answer="answer_{}",
    answers_at_once=True,
    units={
        "promptTokenCount": 20.0,
        "responseTokenCount": 30.0,
        "totalTokenCount": 50.0,
        "responseTokensDetails.AUDIO": 30.0,
    },
    partials=("what is the", "what is the weather?"),
    handle="handle_1",
    late=Resumable,
    bad={"options": {"nonsense": {}}},
    bad_code="1007",
    spoken=gemini_spoken,
    cut=gemini_cut,
    results=gemini_results,
)
DOUBAO = Vendor(
    "doubao",
    DoubaoServer,
    settings={"app_id": APP, "tools": ()},
    session=None,
    answer="r_{}",
    partials=("what is the", "what is the weather?"),
    units={name: float(count) for name, count in USAGE.items()},
    handle="dlg_1",
    late=Used,
    bad={"voice": "nobody"},
    bad_code="55000001",
    spoken=doubao_spoken,
    cut=doubao_cut,
)
DUPLEX = Vendor(
    "doubao_duplex",
    DoubaoDuplexServer,
    session="dlg_1",
    answer="answer_{}",
    calls_apart=True,
    partials=("what is", "what is the"),
    units={"total_tokens": 50.0, "output_token_details.audio_tokens": 25.0},
    handle="dlg_1",
    late=Used,
    bad={"model": "9.9"},
    bad_code="45000001",
    spoken=duplex_spoken,
    cut=duplex_cut,
    results=duplex_results,
)

VENDORS = {
    "openai": OPENAI,
    **{
        f"qwen_{name}{'' if named else '_unnamed'}": replace(vendor, quirks={"names_errors": named})
        for (name, vendor), named in product(QWENS.items(), (True, False))
    },
    **{
        f"stepfun_{by}{'' if named else '_unnamed'}": replace(
            STEPFUN, quirks={"names_answers": named, "cancels_by": f"response.{by}"}
        )
        for by, named in product(("done", "cancelled"), (True, False))
    },
    "stepfun_stateless": STATELESS,
    "gemini": replace(GEMINI, quirks={"binary": True, "ends_calls": True}),
    "gemini_snake": replace(
        GEMINI,
        quirks={"binary": False, "snake": True},
        units={re.sub("[A-Z](?=[a-z])", lambda one: f"_{one[0].lower()}", name): n for name, n in GEMINI.units.items()},
    ),
    "doubao": DOUBAO,
    "doubao_named": replace(DOUBAO, quirks={"connect_id": "d1dcd999-9a9e-4ed6-b227-8649e946f6c4"}),
    "doubao_duplex": DUPLEX,
}


def qwen_asr_spoken(server: Any) -> None:
    session = server.frames[0]["session"]
    assert session["input_audio_transcription"] == {"language": "en", "corpus": {"text": "agentbox pizza"}}
    assert server.kinds()[-1] == "session.finish"


def step_asr_spoken(server: Any) -> None:
    transcription = server.frames[0]["session"]["audio"]["input"]["transcription"]
    assert transcription == {"model": "step-asr-1.1-stream", "language": "en", "prompt": "agentbox pizza"}


TRANSCRIPTION = Vendor(
    "openai_asr",
    OpenAIServer,
    query="?intent=transcription",
    settings={"language": "en-GB", "hotwords": ("agentbox", "pizza")},
    partials=OPENAI.partials,
)
STEP_ASR = replace(
    TRANSCRIPTION,
    kind="step_asr",
    server=StepFunServer,
    path="/asr/stream",
    query="",
    session="trace_1",
    partials=("what is", "what is the", "what is the weather"),
    spoken=step_asr_spoken,
)

RECOGNISERS = {
    "openai_asr": TRANSCRIPTION,
    "qwen_asr": replace(
        TRANSCRIPTION,
        kind="qwen_asr",
        server=QwenServer,
        query="?model=qwen3-asr-flash-realtime",
        partials=QWEN.partials,
        spoken=qwen_asr_spoken,
    ),
    "step_asr": STEP_ASR,
    "step_asr_repeats": replace(STEP_ASR, quirks={"repeats_words": True}),
}
SEGMENTING = {"fun_asr": Vendor("fun_asr", DashScopeServer), "seed_asr": Vendor("seed_asr", SeedASRServer)}
"""Those that tell a turn in segments, each in its own way."""
