"""What can go wrong with DashScope's tasks, and where they are."""

from __future__ import annotations

from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.dashscope import CosyVoice, FunASR
from agentbox.realtime.events import Failed
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.session import Account, Frame, Setup
from tests.realtime.dashscope_talks import TURN, ears, ended, of, started, turn, voice
from tests.realtime.servers.base import KEY
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.talks import until_ready, up_to


async def failure_at(server: DashScopeServer, adapter: Any) -> Failed:
    """The failure that the adapter tells of its first turn, or of none."""
    async with server, Connection(adapter(server)) as connection:
        if isinstance(connection.session, CosyVoice):
            connection.session.say("It is noon.")
        else:
            connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        failed = (await up_to(aiter(connection), ended))[-1]
    assert isinstance(failed, Failed)
    assert failed.session
    return failed


ERRORS = [
    ("CLIENT_ERROR", "request timeout after 23 seconds.", "cloud_idle", Kind.RETRY_NOW),
    ("ModelNotFound", "Model not found (x)!", "cloud_model", Kind.FATAL_CONFIG),
    ("Model.NotExist", "", "cloud_model", Kind.FATAL_CONFIG),
    ("AllocationQuota.FreeTierOnly", "The free tier is used up.", "cloud_credit", Kind.FATAL_CONFIG),
    ("Arrearage", "Access denied, your account is overdue.", "cloud_credit", Kind.FATAL_CONFIG),
    ("AccessDenied.Unpurchased", "", "cloud_credit", Kind.FATAL_CONFIG),
    ("AccessDenied", "", "cloud_denied", Kind.FATAL_CONFIG),
    ("InvalidApiKey", "Invalid API-key provided.", "cloud_key", Kind.FATAL_CONFIG),
    ("InvalidParameter", "sample_rate", "cloud_settings", Kind.FATAL_CONFIG),
    ("InvalidParameter", "[tts:]Engine return error code: 418", "cloud_settings", Kind.FATAL_CONFIG),
    ("InternalError", "Engine error [411]", "cloud_settings", Kind.FATAL_CONFIG),
    ("CLIENT_ERROR", "Request voice is invalid!", "cloud_settings", Kind.FATAL_CONFIG),
    ("DataInspectionFailed", "", "cloud_input", Kind.FATAL_INPUT),
    ("Throttling", "", "cloud_busy", Kind.BACKOFF),
    ("Throttling.RateQuota", "", "cloud_busy", Kind.BACKOFF),
    ("Throttling.AllocationQuota", "", "cloud_busy", Kind.BACKOFF),
    ("InternalError", "", "cloud_down", Kind.BACKOFF),
    ("ServiceUnavailable", "", "cloud_down", Kind.BACKOFF),
    ("GatewayTimeout", "", "cloud_down", Kind.BACKOFF),
    ("CLIENT_ERROR", "unknown", "cloud_refused", Kind.FATAL_INPUT),
    ("SomethingNew", "unknown", "cloud_down", Kind.BACKOFF),
]


@pytest.mark.parametrize(("code", "words", "ours", "kind"), ERRORS)
@pytest.mark.parametrize("adapter", [ears, voice])
async def test_each_documented_error(code: str, words: str, ours: str, kind: Kind, adapter: Any) -> None:
    failed = await failure_at(DashScopeServer(fails=(code, words)), adapter)
    assert (failed.failure.code, failed.failure.vendor_code, failed.failure.kind) == (ours, code, kind)


async def test_a_request_that_is_refused_before_anything_began_is_the_settings() -> None:
    failed = await failure_at(DashScopeServer(fails=("CLIENT_ERROR", "unknown"), fails_at="run"), ears)
    assert failed.failure.code == "cloud_settings"


@pytest.mark.parametrize(
    ("adapter", "ours"),
    [
        (lambda server: ears(server, model="no-such-model"), "cloud_model"),
        (lambda server: ears(server, model="cosyvoice-v3-flash"), "cloud_model"),
        (lambda server: ears(server, sample_rate=44_100), "cloud_settings"),
        (lambda server: ears(server, sample_rate="fast"), "cloud_settings"),
        (lambda server: ears(server, input={"context": 5}, sample_rate=None), "cloud_settings"),
        (lambda server: voice(server, name="nobody"), "cloud_settings"),
        (lambda server: voice(server, voice=None), "cloud_settings"),
    ],
)
async def test_settings_that_are_refused_are_the_owners_to_mend(adapter: Any, ours: str) -> None:
    failed = await failure_at(DashScopeServer(), adapter)
    assert (failed.failure.code, failed.failure.kind) == (ours, Kind.FATAL_CONFIG)


async def test_a_task_without_sound_is_ended_by_the_service() -> None:
    async with DashScopeServer(task_idle_s=0.02) as server, Connection(ears(server)) as connection:
        seen = await up_to(aiter(connection), lambda event: False)
    assert seen[-1].failure.code == "cloud_idle"  # type: ignore[union-attr]


async def test_a_connection_without_a_task_is_closed_by_the_service() -> None:
    async with DashScopeServer(idle_s=0.02) as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        await turn(connection, events)
        seen = await up_to(events, lambda event: False)
    assert [event.failure.code for event in of(seen, Failed)] == ["cloud_idle"]
    assert started(ears()).closed(1006, "")[0].failure.code == "cloud_closed"


@pytest.mark.parametrize("frame", ["", "{", "[]", '"task-started"', "{}", '{"header": []}', b"\0\1"])
def test_frames_that_are_none(frame: Frame) -> None:
    assert [event.failure.code for event in of(started(ears()).receive(frame), Failed)] == ["cloud_protocol"]


# Where it is


def url(workspace: str = "", **options: Any) -> str:
    return FunASR(Account(key=KEY, model="", workspace=workspace, options=options), Setup()).endpoint.url


def test_hosts_by_region_and_workspace() -> None:
    assert url() == "wss://dashscope.aliyuncs.com/api-ws/v1/inference"
    assert url(region="ap-southeast-1") == "wss://dashscope-intl.aliyuncs.com/api-ws/v1/inference"
    assert url("llm-x1") == "wss://llm-x1.cn-beijing.maas.aliyuncs.com/api-ws/v1/inference"
    assert url("llm-x1", region="eu-central-1").startswith("wss://llm-x1.eu-central-1.maas.aliyuncs.com/")
    here = Account(key=KEY, model="", url="ws://127.0.0.1:1/x", workspace="llm-x1", options={"region": "moon"})
    assert CosyVoice(here, Setup()).endpoint.url == "ws://127.0.0.1:1/x"
    assert CosyVoice(here, Setup()).endpoint.headers["X-DashScope-WorkSpace"] == "llm-x1"


@pytest.mark.parametrize(
    ("workspace", "region"),
    [
        ("evil.example/", "cn-beijing"),
        ("a@b", "cn-beijing"),
        ("x\r\ny", "cn-beijing"),
        ("", "moon"),
        ("", 5),
        ("a", ""),
    ],
)
def test_a_host_is_made_of_names_only(workspace: str, region: Any) -> None:
    with pytest.raises(CloudError) as caught:
        url(workspace, region=region)
    assert caught.value.code == "cloud_address"


async def test_the_region_is_no_parameter() -> None:
    async with DashScopeServer() as server, Connection(ears(server, region="ap-southeast-1")) as connection:
        await until_ready(aiter(connection))
    assert "region" not in server.sent("run-task")[0]["payload"]["parameters"]
