"""What the tests of DashScope's recognition and of its voice share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.dashscope import CosyVoice, FunASR
from agentbox.realtime.events import Finished, Heard
from agentbox.realtime.session import Account, Frame, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.talks import up_to

TURN = tone(400, 16_000)
WORDS = [
    Heard("what", False, 0),
    Heard("what is", False, 0),
    Heard("What is the weather?", True, 0),
    Heard("and", False, 1),
    Heard("And in Bonn?", True, 1),
]


def account(server: DashScopeServer | None = None, key: str = KEY, model: str = "", **options: Any) -> Account:
    return Account(key=key, model=model, url=server.url if server is not None else "", options=options)


def ears(server: DashScopeServer | None = None, key: str = KEY, model: str = "", **options: Any) -> FunASR:
    return FunASR(account(server, key, model, **options), Setup(language="en-GB"))


def voice(server: DashScopeServer | None = None, model: str = "", name: str = "", **options: Any) -> CosyVoice:
    return CosyVoice(account(server, model=model, **options), Setup(voice=name))


def of(events: Sequence[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def ended(event: Any) -> bool:
    return isinstance(event, Finished)


async def turn(connection: Connection[FunASR], events: Any, pcm: bytes = TURN) -> list[Any]:
    for at in range(0, len(pcm), 3_200):
        connection.session.append(pcm[at : at + 3_200])
    connection.session.commit()
    connection.flush()
    return await up_to(events, ended)


def json_of(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in frames if isinstance(frame, str)]


def told(event: str, payload: dict[str, Any] | None = None, **header: str) -> str:
    return json.dumps({"header": {"event": event, **header}, "payload": payload or {}})


def sentence(text: str, **fields: Any) -> str:
    return told("result-generated", {"output": {"sentence": {"text": text, **fields}}})


def started(adapter: Any) -> Any:
    adapter.opened()
    adapter.receive(told("task-started"))
    adapter.frames()
    return adapter


def parameters(adapter: Any) -> dict[str, Any]:
    return dict(payload(adapter)["parameters"])


def payload(adapter: Any) -> dict[str, Any]:
    adapter.opened()
    return dict(json_of(adapter.frames())[0]["payload"])
