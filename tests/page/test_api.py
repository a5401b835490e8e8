"""The HTTP interface for programs: asked by hand, and by a machine that reads its description."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS, load_all_checks

from agentbox.daemon.access import NEEDS
from agentbox.page.api_table import LINES, PAGE_ONLY
from agentbox.page.openapi import describe
from tests.page.conftest import Daemon, audit_of, running

ROOT = Path(__file__).parents[2]
ALL = ["state", "talk", "words", "settings", "admin"]
FORBIDDEN_ID = "f" * 32
PAGE_FILE = "page.yaml"
"""The page's own file of sentences."""
SCHEMA = schemathesis.openapi.from_dict(describe())

load_all_checks()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One whose turns and devices come and go."""
    with running(tmp_path_factory.mktemp("api")) as daemon:
        yield daemon


def program(daemon: Daemon, *scopes: str) -> httpx.Client:
    """A program of the owner's."""
    token = daemon.client.call("devices.add", {"name": "program", "scopes": list(scopes or ALL)})["token"]
    client = daemon.browser(Authorization=f"Bearer {token}")
    client.base_url = httpx.URL(f"{daemon.url}/api/v1/")
    return client


@pytest.fixture(scope="module")
def client(box: Daemon) -> httpx.Client:
    """A program that may do everything."""
    return program(box)


def test_the_table_has_each_method_that_devices_may_ask() -> None:
    assert {line.method for line in LINES} | set(PAGE_ONLY) == set(NEEDS)
    assert not {line.method for line in LINES} & set(PAGE_ONLY)
    assert [(line.method, line.scope) for line in LINES if NEEDS[line.method] != line.scope] == []
    assert len({(line.verb, line.path) for line in LINES}) == len(LINES)


def test_the_committed_description_is_the_interface_and_is_valid() -> None:
    spec = importlib.util.spec_from_file_location("make_openapi", ROOT / "docs" / "make_openapi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python docs/make_openapi.py"
    OpenAPIV31SpecValidator(describe()).validate()


@pytest.fixture(scope="module")
def asked(box: Daemon) -> dict[str, Any]:
    """Where to ask, and as whom."""
    token = box.client.call("devices.add", {"name": "machine", "scopes": ALL})["token"]
    certificate = str(box.state / "page" / "certificate.pem")
    return {"base_url": box.url, "headers": {"Authorization": f"Bearer {token}"}, "verify": certificate}


@SCHEMA.exclude(path_regex="/(events|listen|restart)$").parametrize()
@settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_no_request_makes_the_box_fail_and_answers_are_as_described(
    case: schemathesis.Case[Any], asked: dict[str, Any]
) -> None:
    """Streams that last are left out, and what ends the box; the export, which ends, is not. And one check: a name of
    spaces fits the schema, and is no name."""
    case.call_and_validate(**asked, excluded_checks=cast(Any, CHECKS.get_by_names(["positive_data_acceptance"])))


def test_a_program_asks_and_reads(client: httpx.Client) -> None:
    assert client.get("status").json()["running"] is True
    asked = client.post("ask", json={"text": "what time is it"}).json()
    assert asked["tool"] == "get_time"
    assert asked["reply"].startswith("It is")
    [turn] = client.get("transcripts", params={"limit": 1}).json()
    assert turn["reply"] == asked["reply"]
    assert client.get(f"transcripts/{turn['id']}").json()["tool_calls"][0]["caller"] == "page"
    exported = client.get("transcripts/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    assert json.loads(exported.text.splitlines()[-1])["id"] == turn["id"]
    assert client.delete(f"transcripts/{turn['id']}").json() == {"deleted": 1}
    gone = client.get(f"transcripts/{turn['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "http_404")


def test_a_muted_box_tells_how_it_is(box: Daemon) -> None:
    client = program(box, "state", "settings")
    muted = client.post("mute", json={"minutes": 5}).json()
    assert muted["muted"] is True
    assert muted["muted_until"] is not None
    status = client.get("status").json()
    assert (status["muted"], status["level_dbfs"]) == (True, None)
    assert client.post("unmute").json() == {"muted": False, "muted_until": None}
    assert client.get("status").json()["level_dbfs"] is not None


def test_what_the_tools_keep_can_be_read(client: httpx.Client) -> None:
    meant = client.post("understand", json={"text": "set a timer for ten minutes"}).json()
    assert (meant["tool"], meant["policy"], meant["match"]) == ("start_timer", "allow", "exact")
    assert client.post("understand", json={"text": "qwertz uiop"}).json()["intent"] is None
    assert client.get("timers").json() == []
    client.post("tools/start_timer/call", json={"arguments": {"minutes": 10}})
    [timer] = client.get("timers").json()
    assert (timer["kind"], timer["paused"]) == ("timer", False)
    client.post("tools/add_item/call", json={"arguments": {"item": "milk"}})
    [shopping] = [one for one in client.get("lists").json() if one["name"] == "shopping"]
    assert shopping["items"] == [{"text": "milk", "done": False}]
    last = {one["tool"]: one for one in client.get("tools/last").json()}
    assert (last["start_timer"]["state"], last["add_item"]["caller"]) == ("done", "page")
    client.post("tools/cancel_timer/call", json={"arguments": {}})
    client.post("tools/remove_item/call", json={"arguments": {"item": "milk"}})


def test_settings_are_changed_and_read(box: Daemon) -> None:
    client = program(box, "state", "settings", "admin")
    changed = client.post("config", json={"values": {"speech.pace": 1.2}}).json()
    assert changed == {"changed": ["speech.pace"], "restart_needed": False}
    [pace] = [one for one in client.get("config").json() if one["key"] == "speech.pace"]
    assert (pace["value"], pace["source"], pace["changeable"]) == (1.2, "settings", True)
    asked = {"caller": "plugin", "policy": "deny"}
    assert client.post("tools/get_time/policy", json=asked).json() == {"tool": "get_time", **asked}
    [tool] = [one for one in client.get("tools").json() if one["name"] == "get_time"]
    assert tool["policy"]["plugin"] == "deny"
    assert {"config.set", "tools.policy"} <= {row["action"] for row in client.get("audit").json()}


def test_sentences_are_checked_and_saved_over_the_version_that_was_read(box: Daemon) -> None:
    client = program(box, "settings", "talk")
    place = f"sentences/{PAGE_FILE}"
    before = client.get(place).json()
    text = "language: en\nintents:\n  HassGetCurrentTime:\n    data:\n      - sentences: [how late is it]\n"
    [wrong] = client.post(f"{place}/check", json={"text": "language: en\nintents: ["}).json()
    assert (wrong["file"], wrong["level"]) == (PAGE_FILE, "error")
    saved = client.post(place, json={"text": text, "version": before["version"]}).json()
    assert client.get(place).json() == {**before, "text": text, "version": saved["version"]}
    assert client.post("understand", json={"text": "how late is it"}).json()["source"] == PAGE_FILE
    again = client.post(place, json={"text": text, "version": before["version"]})
    assert (again.status_code, again.json()["code"]) == (409, "sentences_changed")


def test_events_come_line_by_line_and_end_with_the_token(box: Daemon) -> None:
    client, other = program(box, "state", "words"), program(box)
    with client.stream("GET", "events") as events:
        lines = events.iter_lines()
        other.post("ask", json={"text": "what day is it"})
        seen = ""
        while '"stage":"reply"' not in seen:
            seen = next(lines)
        assert json.loads(seen)["message"]["text"]
        [this] = [one for one in other.get("devices").json() if one["scopes"] == ["state", "words"]]
        assert other.delete(f"devices/{this['id']}").json()["id"] == this["id"]
        last = [json.loads(line) for line in lines][-1]
    assert last["error"]["code"] == "not_paired"
    assert client.get("status").status_code == 401


@pytest.mark.parametrize("scope", ALL)
def test_a_token_opens_what_its_scope_says_and_no_more(box: Daemon, scope: str) -> None:
    client = program(box, scope)
    for line in LINES:
        if line.verb != "GET" or (line.path == "/events" and line.scope == scope):
            continue
        answer = client.get(
            line.path[1:].format(id=FORBIDDEN_ID, file=PAGE_FILE), params={"text": "x"} if "search" in line.path else {}
        )
        if line.scope == scope:
            assert answer.status_code == (404 if line.may_be_null else 200), (line.path, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted"), line.path
    assert ("status" if scope != "state" else "devices.list", "not_permitted") in {
        (row["action"], row["outcome"]) for row in audit_of(box)
    }


@pytest.mark.parametrize(
    ("verb", "path", "sent", "status", "code"),
    [
        ("GET", "status?x=1", {}, 400, "parameter_wrong"),
        ("GET", "transcripts?limit=0", {}, 400, "parameter_wrong"),
        ("GET", "transcripts?limit=5&limit=6", {}, 400, "parameter_wrong"),
        ("GET", "transcripts?before=nan", {}, 400, "parameter_wrong"),
        ("GET", "transcripts/latest", {}, 400, "parameter_wrong"),
        ("GET", "transcripts/search", {}, 400, "parameter_wrong"),
        ("DELETE", "transcripts?since=5", {}, 400, "parameter_wrong"),
        ("POST", "ask", {}, 400, "parameter_wrong"),
        ("POST", "ask?text=hello", {"json": {}}, 400, "parameter_wrong"),
        ("POST", "ask", {"json": {"text": "hello", "caller": "cli"}}, 400, "parameter_wrong"),
        ("POST", "ask", {"json": {"text": "hello", "token": "x"}}, 400, "parameter_wrong"),
        ("POST", "ask", {"json": {"text": 5}}, 400, "parameter_wrong"),
        ("POST", "ask", {"json": ["text"]}, 400, "body_wrong"),
        ("POST", "ask", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "body_wrong"),
        ("POST", "ask", {"content": b"[" * 9000, "headers": {"Content-Type": "application/json"}}, 400, "body_wrong"),
        ("POST", "ask", {"data": {"text": "hello"}}, 415, "http_415"),
        ("POST", "ask", {"content": b'{"text":"hello"}', "headers": {"Content-Type": "text/plain"}}, 415, "http_415"),
        ("POST", "tools/nothing/call", {"json": {"arguments": {}}}, 200, None),
        ("POST", "backends/nobody/test", {"json": {}}, 404, "backend_missing"),
        ("POST", "mute", {"json": {"minutes": 0}}, 400, "parameter_wrong"),
        ("POST", "config", {"json": {"values": {}}}, 400, "parameter_wrong"),
        ("POST", "config", {"json": {"values": {"page.port": 1}}}, 400, "config_key_fixed"),
        ("POST", "tools/get_time/policy", {"json": {"caller": "cli", "policy": "no"}}, 400, "parameter_wrong"),
        ("POST", "tools/nothing/policy", {"json": {"caller": "cli", "policy": "deny"}}, 400, "policy_invalid"),
        ("GET", "sentences/other.yaml", {}, 404, "sentences_unknown"),
        ("POST", f"sentences/{PAGE_FILE}", {"json": {"text": "", "version": "0"}}, 409, "sentences_changed"),
        ("DELETE", f"devices/{FORBIDDEN_ID}", {}, 404, "paired_device_missing"),
        ("GET", "nothing", {}, 404, "http_404"),
        ("PUT", "status", {}, 405, "http_405"),
        ("DELETE", "transcripts/search", {}, 405, "http_405"),
    ],
)
def test_what_is_wrong_is_told_as_json(
    client: httpx.Client, verb: str, path: str, sent: dict[str, Any], status: int, code: str | None
) -> None:
    answer = client.request(verb, path, **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    if code is not None:
        assert answer.json()["code"] == code
        assert set(answer.json()) == {"code", "what", "todo"}
    if status == 405:
        assert answer.headers["allow"] == "GET"


def test_a_browsers_change_needs_the_key_of_its_own_pages(box: Daemon) -> None:
    phone, other = box.phone(), box.phone("owner", "other")
    place, body = "/api/v1/ask", {"text": "what time is it"}
    assert phone.browser.get("/api/v1/status").status_code == 200
    for headers in ({}, {"X-Form-Key": "wrong"}, {"X-Form-Key": other.form_key()}):
        answer = phone.browser.post(place, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "form_stale")
    assert phone.browser.post(place, json=body, headers={"X-Form-Key": phone.form_key()}).status_code == 200
    assert phone.browser.delete(f"/api/v1/devices/{FORBIDDEN_ID}").json()["code"] == "form_stale"


def test_nobody_reads_anything_without_a_token(box: Daemon) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc6d3Jvbmc="}):
        stranger = box.browser(**headers)
        for line in LINES:
            answer = stranger.request(line.verb, f"/api/v1{line.path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "not_paired"), line.path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert stranger.get("/api/v1/openapi.json").status_code == 401


def test_the_description_is_there_to_be_asked_for(box: Daemon) -> None:
    assert program(box, "state").get("openapi.json").json() == json.loads(json.dumps(describe()))
