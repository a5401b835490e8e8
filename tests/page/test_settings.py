"""Set-up and settings on the page: every form works without scripts, a wrong value is told in plain words, and what
somebody typed is shown as text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from starlette.requests import HTTPConnection

from agentbox.asr.catalogue import Catalogue
from agentbox.cli import main
from agentbox.errors import AgentboxError, ControlError
from agentbox.page.box import Asker
from agentbox.page.render import LANGUAGES, Words
from agentbox.page.topics import STEPS, TOPICS, after, changes, hearings
from tests.models import folder_of_models
from tests.page.conftest import Daemon, Phone, audit_of, running, settings_of

EVIL = '"><script>alert(1)</script>'
KEY = "sk-abcdefgh12345678"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One whose settings these tests change."""
    with running(tmp_path_factory.mktemp("settings"), new=True) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def owner(box: Daemon) -> Phone:
    phone = Phone(box.browser())
    phone.pair(box.offer()["code"], "phone")
    return phone


def sent(phone: Phone, place: str, **form: str) -> tuple[int, str]:
    """Send a form from the settings' own page."""
    [key, *_] = re.findall(r'name="form_key" value="([^"]+)"', phone.see("/settings/name"))
    answer = phone.browser.post(place, data={"form_key": key, **form})
    return answer.status_code, answer.text if answer.status_code != 303 else answer.headers["location"]


def test_a_new_owner_is_led_through_the_steps_until_they_are_done(box: Daemon, owner: Phone) -> None:
    assert owner.browser.get("/").headers["location"] == "/setup"
    assert owner.browser.get("/setup").headers["location"] == "/setup/name"
    for step in STEPS:
        assert f"step {STEPS.index(step) + 1} of {len(STEPS)}" in owner.see(f"/setup/{step}")
    code, place = sent(owner, "/settings/name", setup="1", **{"persona.name": "Marvin", "page.name": ""})
    assert (code, place) == (303, "/setup/sound")
    assert settings_of(box)["persona"] == {"name": "Marvin"}
    assert sent(owner, "/setup/finish") == (303, "/")
    assert "Talk to it" in owner.see("/")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("place", ["/settings", *(f"/settings/{one}" for one in TOPICS), "/setup/wake", "/setup/try"])
def test_every_page_is_there_in_every_language_and_has_labels(owner: Phone, place: str, language: str) -> None:
    answer = owner.browser.get(place, headers={"Cookie": f"{owner.cookie}; agentbox-language={language}"})
    assert answer.status_code == 200, answer.text
    assert f'<html lang="{language}">' in answer.text
    labelled = set(re.findall(r'<label for="([^"]+)"', answer.text))
    for field in re.findall(r"<(?:input|select|textarea) [^>]*>", answer.text):
        if 'type="hidden"' not in field:
            [name] = re.findall(r' id="([^"]+)"', field)
            assert name in labelled, field
    assert re.findall(r"<h([1-6])", answer.text)[0] == "1"
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("topic", "form", "written"),
    [
        ("listening", {"activation.phrases": "hey marvin\nhello, box"}, {"phrases": ["hey marvin", "hello", "box"]}),
        (
            "names",
            {"asr.hotwords": "Siobhan Casserly\n李娜，小米电视"},
            {"hotwords": ["Siobhan Casserly", "李娜", "小米电视"]},
        ),
        ("voice", {"speech.pace": "1.2", "speech.quiet_hours": "22:00-07:00"}, {"pace": 1.2}),
        ("keeping", {"storage.retention_days": "7", "storage.audio?": "1"}, {"retention_days": 7}),
        ("cloud", {"cloud.policy": "local_first"}, {"policy": "local_first"}),
        ("guests", {"page.guests_read": "on", "page.guests_read?": "1"}, {"guests_read": True}),
    ],
)
def test_a_form_is_saved(
    box: Daemon, owner: Phone, topic: str, form: dict[str, str], written: dict[str, object]
) -> None:
    code, text = sent(owner, f"/settings/{topic}", **form)
    assert code == 200, text
    assert ("Saved. It counts" in text) == (topic == "keeping")
    [key, *_] = form
    assert settings_of(box)[key.split(".")[0]].items() >= written.items()


def test_a_value_that_does_not_fit_is_told_in_plain_words(box: Daemon, owner: Phone) -> None:
    before = settings_of(box)
    code, text = sent(owner, "/settings/voice", **{"speech.quiet_hours": "at night"})
    assert code == 400
    assert "nothing was changed" in text
    assert "settings.yaml" not in text
    code, text = sent(owner, "/settings/voice", **{"speech.pace": "fast"})
    assert code == 400
    assert settings_of(box) == before


ABSENT = next(name for name in Catalogue.load().speaking("en") if not (folder_of_models() / name).exists())
"""A model that the tests' boxes do not have, whatever else was fetched on this machine."""


@pytest.mark.parametrize(("second", "told"), [(ABSENT, "model_missing"), ("/srv/models/own", "config_value")])
def test_a_second_model_is_one_that_is_on_the_box(box: Daemon, owner: Phone, second: str, told: str) -> None:
    assert 'id="asr.second_model"' in owner.see("/settings/listening")
    assert 'id="asr.second_model"' not in owner.see("/setup/listening")
    before = settings_of(box)
    code, text = sent(owner, "/settings/listening", **{"asr.second_model": second})
    assert code == 400, text
    assert settings_of(box) == before
    with pytest.raises(AgentboxError) as caught:
        box.client.call("config.set", {"key": "asr.second_model", "value": second})
    assert caught.value.code == told


def test_what_was_typed_is_shown_as_text(owner: Phone) -> None:
    assert sent(owner, "/settings/name", **{"persona.name": EVIL})[0] == 200
    assert sent(owner, "/settings/listening", **{"activation.phrases": EVIL})[0] == 200
    for place in ("/settings/name", "/settings/listening", "/setup/wake", "/setup/try"):
        page = owner.see(place)
        assert EVIL not in page
        assert "<script>alert" not in page
    sent(owner, "/settings/listening", **{"activation.phrases": ""})


def test_the_wake_phrase_of_the_language_is_shown_and_not_pinned(box: Daemon, owner: Phone) -> None:
    field = 'id="activation.phrases" name="activation.phrases" rows="2" maxlength="600" placeholder="hey computer">'
    assert sent(owner, "/settings/listening", **{"activation.phrases": "hey marvin"})[0] == 200
    page = owner.see("/settings/listening")
    assert f"{field}hey marvin</textarea>" in page
    assert "now: hey computer." in page
    assert sent(owner, "/settings/listening", **{"activation.phrases": ""})[0] == 200
    assert f"{field}</textarea>" in owner.see("/setup/listening")
    assert "hey computer" in owner.see("/setup/wake")
    assert settings_of(box)["activation"]["phrases"] is None
    assert sent(owner, "/settings/listening", setup="1", **{"activation.phrases": ""})[1] == "/setup/wake"
    assert settings_of(box)["activation"]["phrases"] is None


def test_a_command_tells_the_box_which_backend_to_use_and_not_a_file_of_its_own(
    box: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root does it for a service: with a state folder of its own."""

    def use(name: str) -> str:
        return CliRunner().invoke(main, ["backends", "use", name, "--config", str(box.config)]).output

    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SOCKET", str(box.state / "control.sock"))
    backends = [{"name": "openai", "kind": "openai"}]
    box.client.call("config.set", {"values": {"cloud.backends": backends, "cloud.policy": "local_only"}})
    assert "cloud.policy is local_only: nothing leaves this box" in use("openai")
    assert "backend_missing" in use("nobody")
    assert settings_of(box)["cloud"]["use"] == "openai"
    assert not (tmp_path / "settings.yaml").exists()
    monkeypatch.delenv("AGENTBOX_SOCKET")
    assert use("local") == "Nothing leaves this box.\n", "no box runs here"
    assert (tmp_path / "settings.yaml").exists()
    assert settings_of(box)["cloud"]["use"] == "openai"
    box.client.call("config.set", {"values": {"cloud.backends": [], "cloud.use": "local"}})


def test_a_key_is_kept_tried_and_never_shown(box: Daemon, owner: Phone) -> None:
    code, text = sent(owner, "/settings/cloud/backend", kind="openai", key=KEY, setup="1")
    assert code == 200
    assert "openai does not work" in text  # there is no network here
    assert "/setup/try" in text
    assert (box.state / "secrets" / "openai").read_text() == KEY
    assert settings_of(box)["cloud"]["backends"] == [{"name": "openai", "kind": "openai"}]
    assert all("••••5678" in owner.see(place) for place in ("/settings/secrets", "/settings/cloud"))
    assert "does not work" in sent(owner, "/settings/cloud/test", name="openai")[1]
    assert KEY not in "".join(owner.see(place) for place in ("/settings/cloud", "/settings/secrets", "/devices"))
    assert sent(owner, "/settings/cloud/backend", kind="gopher", key="")[0] == 400
    assert sent(owner, "/settings/cloud/remove", name="openai")[0] == 200
    assert not (box.state / "secrets" / "openai").exists()
    assert ("secrets.set", "openai") in {(row["action"], row["target"]) for row in audit_of(box)}
    for file in (one for one in box.state.rglob("*") if one.is_file()):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_guest_sees_no_settings_and_no_stranger_does(box: Daemon) -> None:
    guest = Phone(box.browser())
    guest.pair(box.offer("guest")["code"], "guest")
    stranger = box.browser()
    assert "/settings" not in guest.see("/")
    places = ["/settings", "/settings/level", "/setup/name", *(f"/settings/{one}" for one in TOPICS)]
    for place in places:
        assert stranger.get(place).status_code == 401, place
        if place != "/settings/level":  # how loud it is may be seen by whoever may see its state
            assert guest.browser.get(place).status_code == 403, place
    forms = ["name", "cloud/backend", "cloud/test", "cloud/remove", "sound/test", "secrets/set"]
    key, before = guest.form_key(), settings_of(box)
    for place in (*(f"/settings/{one}" for one in forms), "/setup/finish"):
        form = {"form_key": key, "name": "x", "value": "x", "kind": "openai", "persona.name": "x"}
        assert guest.browser.post(place, data=form).status_code in (400, 403), place
        assert stranger.post(place, data=form).status_code == 401, place
    assert settings_of(box) == before
    assert "x" not in [one.name for one in box.state.glob("secrets/*")]


def test_no_form_key_no_change(box: Daemon, owner: Phone) -> None:
    for place in ("/settings/name", "/settings/secrets/set", "/settings/cloud/backend", "/setup/finish"):
        assert owner.browser.post(place, data={"persona.name": "Eve"}).status_code == 403
    for place in ("/settings/nothing", "/setup/nothing", "/setup/voice"):
        assert owner.browser.get(place).status_code == 404


def test_a_new_name_answers_first_and_the_page_comes_back(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        code, text = sent(phone, "/settings/name", **{"page.name": "kitchen"})
        assert code == 200
        assert "Saved" in text
        until_s = time.monotonic() + 60
        while "kitchen" not in found_at(daemon):
            assert time.monotonic() < until_s
            time.sleep(0.1)


def found_at(daemon: Daemon) -> str:
    """The page's address by name; empty while it is closed."""
    try:
        return str(daemon.offer()["name"])
    except ControlError:
        return ""


def test_what_did_not_change_is_not_written_down() -> None:
    values = {"persona.name": "box", "page.name": "", "audio.sounds": True, "activation.phrases": None}
    assert changes("name", {"persona.name": " box ", "page.name": ""}, values) == {}
    assert changes("sound", {}, values) == {}
    assert changes("sound", {"audio.sounds?": "1"}, values) == {"audio.sounds": False}
    assert changes("listening", {"activation.phrases": ""}, values) == {}
    pinned = {"activation.phrases": ["hey marvin"]}
    assert changes("listening", {"activation.phrases": "hey marvin"}, pinned) == {}
    assert changes("listening", {"activation.phrases": " \n"}, pinned) == {"activation.phrases": None}
    values = {"asr.model": "a", "asr.language": "en"}
    assert changes("listening", {"model": "a en"}, values) == {}
    assert changes("listening", {"model": "b zh"}, values) == {"asr.model": "b", "asr.language": "zh"}
    assert changes("listening", {"model": "a zh"}, values) == {"asr.model": "a", "asr.language": "zh"}
    second = {"asr.second_model": "b"}
    assert changes("listening", second, {"asr.second_model": None}) == second
    assert changes("listening", {"asr.second_model": ""}, {"asr.second_model": None}) == {}
    assert changes("listening", {"asr.second_model": ""}, second) == {"asr.second_model": None}
    values = {"asr.model": "a", "asr.language": "en-GB"}
    assert changes("listening", {"model": "a en"}, values) == {}
    assert changes("listening", {"model": "b en"}, values) == {"asr.model": "b", "asr.language": "en-GB"}
    assert changes("listening", {"model": "/srv/own"}, {"asr.model": "/srv/own", "asr.language": "en"}) == {}


def test_a_model_of_many_languages_can_be_chosen_in_several() -> None:
    one, many = {"name": "one", "languages": ["de"]}, {"name": "many", "languages": ["en", "fr", "zh"]}
    models = [
        {**one, "installed": True},
        {**many, "installed": True},
        {"name": "c", "languages": [], "installed": False},
    ]
    named = {"en", "zh"}.__contains__
    assert [*map(tuple, hearings(models, {"asr.model": "many", "asr.language": "zh-CN"}, named))] == [
        ("one", "de", False),
        ("many", "en", False),
        ("many", "zh", True),
    ]
    french = hearings(models, {"asr.model": "many", "asr.language": "fr"}, named)
    assert [(found.language, found.chosen) for found in french] == [
        ("de", False),
        ("en", False),
        ("fr", True),
        ("zh", False),
    ]


def test_the_steps_follow_each_other_and_every_setting_has_words() -> None:
    assert [after(step) for step in STEPS][-1] == "/"
    for language in LANGUAGES:
        words = Words(language)
        for topic, keys in TOPICS.items():
            assert words.has(f"topic.{topic}")
            for key in keys:
                assert words.has(f"set.{key.replace('.', '_')}"), key


async def test_another_speech_model_has_minutes_to_load() -> None:
    limits: dict[str, float] = {}

    class Client:
        async def call(self, method: str, params: object, timeout_s: float) -> dict[str, object]:
            limits[method] = timeout_s
            used = {"model": "a", "former": "b", "counts": "now"}
            return {"changed": [], "restart_needed": False, **used}

    where = {"type": "http", "path": "/", "scheme": "http", "server": ("box", 80), "headers": [], "query_string": b""}
    asker = Asker(cast(Any, Client()), HTTPConnection(where))
    for method in ("config.set", "models.use", "setup.finish"):
        await asker.call(method)
    assert limits == {"config.set": 300.0, "models.use": 300.0, "setup.finish": 30.0}
