"""Templates and words: what a browser gets to see."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response

from agentbox.page.box import COOKIE, COOKIE_S, Device

LANGUAGES = ("en", "zh")
MENU = (
    ("home", "/", "state"),
    ("transcripts", "/transcripts", "words"),
    ("timers", "/timers", "words"),
    ("lists", "/lists", "words"),
    ("sentences", "/sentences", "talk"),
    ("tools", "/tools", "state"),
    ("egress", "/egress", "words"),
    ("settings", "/settings", "settings"),
    ("devices", "/devices", "admin"),
    ("system", "/system", "admin"),
)
"""The pages, in the order of how often they are wanted, with the scope that each needs."""

LANGUAGE_COOKIE = "agentbox-language"
LANGUAGE_HEADER = "agentbox-language"


class Words:
    """The page's words in one language; `words("home.title", name="...")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        text = resources.files("agentbox.page").joinpath("words", f"{language}.toml").read_text(encoding="utf-8")
        self._words: dict[str, dict[str, str]] = tomllib.loads(text)

    def __call__(self, key: str, **values: object) -> str:
        section, _, name = key.partition(".")
        return self._words[section][name].format(**values)

    def has(self, key: str) -> bool:
        section, _, name = key.partition(".")
        return name in self._words.get(section, {})


class Pages:
    """`language`: the box's own, for who chose none. `fingerprint`: of the certificate."""

    def __init__(self, language: str, fingerprint: str) -> None:
        self._language = language.partition("-")[0] if language.partition("-")[0] in LANGUAGES else "en"
        self._fingerprint = fingerprint
        self._words: dict[str, Words] = {}
        self._environment = Environment(
            loader=PackageLoader("agentbox.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters["clock"] = _clock
        self._environment.filters["plain_json"] = _plain_json
        self._environment.filters["left"] = _left

    def words(self, connection: HTTPConnection) -> Words:
        """In the language of the page that this is a part of, that which the browser chose, that of the answer on the
        page, or the box's."""
        wanted = (
            connection.headers.get(LANGUAGE_HEADER, ""),
            connection.cookies.get(LANGUAGE_COOKIE, ""),
            getattr(connection.state, "language", "").partition("-")[0],
        )
        language = next((one for one in wanted if one in LANGUAGES), self._language)
        if language not in self._words:
            self._words[language] = Words(language)
        return self._words[language]

    def show(
        self,
        connection: HTTPConnection,
        template: str,
        *,
        device: Device | None = None,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """A page, or a part of one."""
        words = self.words(connection)
        text = self._environment.get_template(template).render(
            t=words,
            language=words.language,
            languages=LANGUAGES,
            menu=MENU,
            device=device,
            path=connection.url.path,
            fingerprint=self._fingerprint,
            **values,
        )
        response = HTMLResponse(text, status_code=status)
        if device is not None and device.fresh_token:
            keep_token(response, device.fresh_token)
        return response

    def error(self, connection: HTTPConnection, code: str, text: str, status: int) -> Response:
        """What went wrong, in the browser's language where there are words for it."""
        return self.show(connection, "error.html", status=status, code=code, text=text)


def keep_token(response: Response, token: str) -> None:
    """Give the browser a token, which no script reads and which goes to no other site."""
    response.set_cookie(COOKIE, token, max_age=COOKIE_S, path="/", secure=True, httponly=True, samesite="strict")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain_json(value: object) -> str:
    """For people to read; the template escapes it like any other text."""
    return json.dumps(value, ensure_ascii=False)


def _left(seconds: float) -> str:
    """`1:02:03`, as timers.js counts it down."""
    whole = max(0, int(seconds + 0.999))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
