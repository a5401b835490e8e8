"""What the page holds out against, over real sockets: other sites, other hosts, and words that are no words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.routing import Mount, Route

from agentbox.control.client import Client
from agentbox.page.api_table import LINES
from agentbox.page.app import make
from agentbox.page.box import COOKIE
from agentbox.page.guard import HEADERS, MOST_BODY_BYTES, Guard
from agentbox.page.openapi import ROOT
from tests.page.conftest import Daemon, Phone, running
from tests.page.test_api import PAGE_FILE
from tests.page.wire import head, say, status

API_KEY = "sk-0123456789abcdefKEY"
SCRIPT = "<script>alert(1)</script>"


def routes() -> list[Route]:
    """Every address of the page but the socket's and the static files'."""
    guard = make(cast(Any, None), cast(Any, None), ())
    assert isinstance(guard, Guard)
    return [one for one in cast(Any, guard)._app.routes if isinstance(one, Route) and not isinstance(one, Mount)]


GET = sorted({one.path for one in routes() if "{" not in one.path and one.methods is not None and "GET" in one.methods})
POST = sorted({one.path for one in routes() if one.methods is not None and "POST" in one.methods})
NEEDS = {
    "/sentences/edit": f"?file={PAGE_FILE}",
    "/transcripts/delete": "?all=1",
    f"{ROOT}/transcripts/search": "?text=day",
}
"""The query without which an address gives nothing."""

OPEN = {"/pair", "/language"}
"""What needs no pairing, and changes nothing of a paired device."""


@pytest.fixture
def phone(daemon: Daemon) -> Phone:
    return daemon.phone("owner", "examiner")


@pytest.fixture
def program(daemon: Daemon) -> dict[str, Any]:
    """One that may do everything, and knows even the key of its forms."""
    scopes = ["state", "talk", "words", "settings", "admin"]
    token = daemon.client.call("devices.add", {"name": "cron", "scopes": scopes})["token"]
    key = Client(daemon.state / "page.sock").call("devices.me", {"token": token, "address": ""})["form_key"]
    return {"token": token, "form_key": key}


@pytest.fixture(autouse=True)
def _no_trace_of_a_mistake(daemon: Daemon) -> Iterator[None]:
    """The page's log is the daemon's."""
    yield
    assert "Traceback" not in daemon.log()
    assert "Exception" not in daemon.log()


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.7:8443", "127.0.0.1.evil.example", "127.0.0.1@evil.example"])
@pytest.mark.parametrize("place", ["/", "/pair", "/devices", "/static/page.css", "/api/v1/status", "/nothing"])
def test_another_name_for_the_box_gets_nothing(daemon: Daemon, phone: Phone, host: str, place: str) -> None:
    """DNS rebinding: the browser sends the page of evil.example here, with its own name."""
    answer = phone.browser.get(place, headers={"Host": host})
    assert answer.status_code == 421
    assert len(answer.content) < 100


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: https://evil.example"],
        ["Origin: null"],
        [],
        ["Origin: https://127.0.0.1:{port}", "Sec-Fetch-Site: cross-site"],
        ["Origin: https://127.0.0.1:{port}", "Origin: https://evil.example"],
        ["Origin: http://127.0.0.1:{port}"],
    ],
)
def test_another_sites_page_opens_no_socket(daemon: Daemon, phone: Phone, headers: list[str]) -> None:
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    told = [one.format(port=daemon.port) for one in headers]
    asked = head(daemon, "GET /live", *upgrade, key, f"Cookie: {phone.cookie}", *told, close=False)
    assert status(say(daemon, asked)) in (400, 403)


@pytest.mark.parametrize("place", sorted(set(POST) - OPEN))
def test_no_form_counts_without_the_key_of_the_same_device(daemon: Daemon, phone: Phone, place: str) -> None:
    other = daemon.phone("owner", "other").form_key()
    for form in ({}, {"form_key": ""}, {"form_key": "wrong"}, {"form_key": "\u00e9"}, {"form_key": other}):
        if place == "/system/restore":  # a file can only come in a form of several parts, with the key before it
            answer = phone.browser.post(place, data=form, files={"file": b"x"})
        else:
            answer = phone.browser.post(place, data=form)
        assert answer.status_code == 403, form
    right = {"form_key": phone.form_key()}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert phone.browser.post(place, data=right, headers=headers).status_code == 403, headers


@pytest.mark.parametrize("place", sorted(one for one in POST if not one.startswith("/api/") and one not in OPEN))
def test_no_form_is_for_programs(daemon: Daemon, program: dict[str, Any], place: str) -> None:
    """As a token or as a phone's cookie: a reset and a restore have no address for programs."""
    form = {"form_key": program["form_key"], "name": "not the box's", "id": "none"}
    for headers in ({"Authorization": f"Bearer {program['token']}"}, {"Cookie": f"{COOKIE}={program['token']}"}):
        assert daemon.browser(**headers).post(place, data=form).status_code == 401


def test_no_page_can_be_framed_guessed_or_kept(daemon: Daemon, phone: Phone) -> None:
    """On whatever comes back: pages, files, errors, what was refused."""
    stranger = daemon.browser()
    places = [
        *GET,
        "/nothing",
        "/static/page.css",
        "/static/nothing",
        "/api/v1/status",
        "/api/v1/nothing",
        "/api/v1/ask",
    ]
    answers = [browser.get(place) for browser in (stranger, phone.browser) for place in places]
    answers += [browser.post(place) for browser in (stranger, phone.browser) for place in POST]
    answers += [
        stranger.put("/"),
        stranger.get("/", headers={"Host": "evil.example"}),
        stranger.post("/pair", content=b"x" * (MOST_BODY_BYTES + 1)),
        stranger.post("/pair", content=iter([b"x" * MOST_BODY_BYTES, b"x"])),
        phone.browser.get(
            "/static/page.css", headers={"If-None-Match": stranger.get("/static/page.css").headers["etag"]}
        ),
    ]
    assert {answer.status_code for answer in answers} >= {200, 303, 304, 401, 403, 404, 405, 413, 421}
    for answer in answers:
        expected = {**HEADERS, **({"Cache-Control": "no-cache"} if "etag" in answer.headers else {})}
        assert {name: answer.headers.get(name) for name in HEADERS} == expected, answer.request.url
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    "place",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/page.css/",
        "/static/./page.css",
        "/static/page.css%00",
        "/static/",
        "/static/__init__.py",
        "/../../etc/passwd",
        "//etc/passwd",
        "/templates/home.html",
        "/words/en.toml",
    ],
)
def test_no_path_leads_to_a_file(daemon: Daemon, place: str) -> None:
    answer = say(daemon, head(daemon, f"GET {place}"))
    assert status(answer) == 404, answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "device", ["../../etc/passwd", "%2e%2e%2f", "\x00", "f", "", "*", "' OR 1=1 --", "\u202e", "9" * 5000]
)
def test_no_id_is_a_path_or_a_pattern(daemon: Daemon, phone: Phone, device: str) -> None:
    before = len(daemon.client.call("devices.list"))
    assert phone.send("/devices/rename", id=device + "zz", name="x").status_code in (400, 404)
    assert phone.send("/devices/revoke", id=device + "zz").status_code in (400, 404)
    assert len(daemon.client.call("devices.list")) == before


def test_words_of_others_are_shown_and_never_run(daemon: Daemon, phone: Phone) -> None:
    daemon.phone("guest", SCRIPT)
    phone.send("/talk", text=f'add {SCRIPT} to my shopping list "onload=x')
    answer = phone.send("/talk", text=f"{SCRIPT} ' \" &")
    daemon.browser().post("/pair", data={"code": "x", "name": SCRIPT})
    daemon.browser(**{"User-Agent": SCRIPT}).get("/pair")
    seen = [answer.text, *(phone.see(place) for place in ("/", "/turns", "/devices"))]
    assert "&lt;script&gt;" in seen[0]
    assert any("&lt;script&gt;" in one for one in seen[1:])
    for one in seen:
        assert "<script>" not in one
        assert one.count("alert(1)") == one.count("&lt;script&gt;alert(1)")
    for place in (f"/{SCRIPT}", f"/devices?x={SCRIPT}", f"/api/v1/status?{SCRIPT}=1"):
        answer = phone.browser.get(place)
        assert "<script>" not in answer.text or answer.headers["content-type"] == "application/json"


def test_a_programs_token_is_shown_once(daemon: Daemon, phone: Phone) -> None:
    answer = phone.send("/devices/add", name="night light", **{"scope-state": "yes"})
    assert answer.status_code == 200
    [made] = [one for one in daemon.client.call("devices.list") if one["name"] == "night light"]
    assert made["scopes"] == ["state"]
    [token] = [
        word
        for word in answer.text.replace("<code>", "\n").replace("</code>", "\n").splitlines()
        if len(word) == 43 and daemon.browser(Authorization=f"Bearer {word}").get("/api/v1/status").status_code == 200
    ]
    assert token not in phone.see("/devices")
    daemon.client.call("devices.revoke", {"id": made["id"]})


def test_nothing_secret_is_in_any_answer_or_log(tmp_path: Path) -> None:
    """The key of a cloud model, tokens, hashes of them, codes: in no body, no address, no log."""
    secrets_file = tmp_path / "secrets.yaml"
    secrets_file.touch(mode=0o600)
    secrets_file.write_text(f"openai: {API_KEY}\n")
    cloud = {"policy": "local_first", "backends": [{"name": "openai", "kind": "openai", "url": "wss://127.0.0.1:1/"}]}
    config = {"cloud": cloud, "log": {"level": "debug"}, "storage": {"secrets_file": str(secrets_file)}}
    with running(tmp_path / "box", **config) as daemon:
        offer = daemon.offer()
        phone = daemon.phone()
        token = phone.cookie.partition("=")[2]
        machine = daemon.client.call("devices.add", {"name": "p", "scopes": ["state", "words", "settings", "admin"]})
        program = daemon.browser(Authorization=f"Bearer {machine['token']}")
        phone.send("/talk", text="what day is it")
        [turn] = daemon.client.call("transcripts.list", {"limit": 1})
        answers = [program.get("/nothing"), phone.browser.get("/nothing")]
        for place in (*GET, *(f"{ROOT}{line.path}" for line in LINES if line.verb == "GET" and line.path != "/events")):
            asked = place.format(id=turn["id"], file=PAGE_FILE) + NEEDS.get(place, "")
            answers.append(phone.browser.get(asked))
            assert answers[-1].status_code == (303 if place == "/setup" else 200), (asked, answers[-1].text)
            answers.append(program.get(asked))
            # The pages are not for programs; where phones pair is open to all.
            assert (answers[-1].status_code == 200) == place.startswith((ROOT, "/pair")), asked
        with program.stream("GET", f"{ROOT}/events") as events:  # it has no end
            answers += [phone.send("/talk", text="what time is it")]
            told = next(events.iter_lines())
        answers += [program.post("/api/v1/backends/openai/test")]
        answers += [phone.send("/devices/rename", id="zz", name="x")]
        hidden = [API_KEY, token, machine["token"], offer["code"], offer["url"].partition("#")[2], "token_hash"]
        for answer in answers:
            assert not [one for one in hidden if one in answer.text or one in str(answer.headers)], answer.request.url
        assert not [one for one in hidden if one in told]
        daemon.stop()
        assert not [one for one in hidden if one in daemon.log()]
        assert "Traceback" not in daemon.log()
