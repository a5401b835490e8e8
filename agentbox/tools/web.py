"""Web requests that the owner wrote into the configuration (`tools.web`), each a tool of its own.

What a slot may change is one value: in the URL it is percent-encoded and cannot become another host, path step or
parameter; in a JSON body it stays inside its string. No redirect is followed. Errors name neither URL nor secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.errors import ToolError
from agentbox.messages import JSON
from agentbox.tools import template
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import Tool, parameters_struct
from agentbox.tools.phrases import Phrases

LONGEST_LIST = 20
"""More items of a picked list than this are not read out."""


def web_tool(request: config.WebRequest, credentials: Credentials) -> Tool:
    """The tool that makes this request. Raises `ToolError` `web_request_wrong`."""
    _check(request)

    async def call(context: ToolContext, **slots: JSON) -> Outcome:
        try:
            return await _call(request, credentials, slots, context.phrases)
        except ToolError as error:
            error.spoken = request.failure
            raise

    names = template.slots([request.url, request.query, request.headers, request.body])
    named_in_answer = [name for name in template.slots(request.answer) if name not in ("text", *request.pick)]
    return Tool(
        name=request.name,
        description=request.description or f"Web request {request.name.replace('_', ' ')}.",
        function=call,
        parameters=parameters_struct(
            request.name,
            [
                *((name, str | int | float) for name in names),
                *((name, str | int | float | None, None) for name in named_in_answer if name not in names),
            ],
        ),
        intents=(request.intent or request.name,),
        # RFC 9110, 9.2: GET changes nothing; PUT and DELETE may be repeated.
        effects=request.method != "GET",
        risk="normal" if request.method == "GET" else "risky",
        idempotent=request.method in ("GET", "PUT", "DELETE"),
        # Its own time-out ends it first, with a better error.
        timeout_s=request.timeout_s + 5,
        ignore_other_slots=True,
    )


def _check(request: config.WebRequest) -> None:
    def wrong(why: str) -> ToolError:
        return ToolError(
            "web_request_wrong", f"The web request {request.name} cannot be used: {why}.", "Mend it under tools.web."
        )

    try:
        parts = urlsplit(request.url)
        httpx.URL(template.fill(request.url, {}, lambda _: "x", quote))
    except (httpx.InvalidURL, ValueError) as error:
        raise wrong("its url is none") from error
    if "{" in parts.netloc:
        raise wrong("the host in its url must be fixed")
    if parts.username is not None:
        raise wrong("a user name in its url belongs into a header, with {secret:name}")
    if template.secrets(request.answer) or template.secrets(request.failure):
        raise wrong("a secret must not be in its answer")
    for path in request.pick.values():
        template.steps(path)


async def _call(
    request: config.WebRequest, credentials: Credentials, slots: Mapping[str, JSON], phrases: Phrases
) -> Outcome:
    url, headers, body = _build(request, credentials, slots)
    try:
        async with asyncio.timeout(request.timeout_s):
            content = await _send(request, url, headers, body)
    except TimeoutError as error:
        raise ToolError("web_timeout", f"No answer came within {request.timeout_s:g} s.", "Try again later.") from error
    return _answer(request, content, slots, phrases)


def _build(
    request: config.WebRequest, credentials: Credentials, slots: Mapping[str, JSON]
) -> tuple[httpx.URL, list[tuple[bytes, bytes]], bytes | None]:
    """URL, headers and body with all values in place. Pure but for the secrets."""
    values = template.texts(slots)
    if any("\0" in value or len(value) > 2000 for value in values.values()):
        raise _bad_value("A value is too long or no text.")

    def quoted(text: str) -> str:
        return quote(text, safe="")

    text = template.fill(request.url, values, credentials.get, quoted)
    path = urlsplit(text).path.split("/")
    for before, after in zip(urlsplit(request.url).path.split("/"), path, strict=True):
        # A step that is empty or made of dots would name another place.
        if before != after and after.lower().replace("%2e", ".") in ("", ".", ".."):
            raise _bad_value("A value cannot stand in the address.")
    url = httpx.URL(text)
    query = {name: template.fill(value, values, credentials.get) for name, value in request.query.items()}
    headers = {"Accept": "application/json, text/plain;q=0.9, */*;q=0.1", "Accept-Encoding": "identity"}
    headers |= {name: template.fill(value, values, credentials.get) for name, value in request.headers.items()}
    body = None
    if request.body is not None:
        filled = template.fill_json(request.body, slots, credentials.get)
        body = filled.encode() if isinstance(filled, str) else msgspec.json.encode(filled)
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "text/plain; charset=utf-8" if isinstance(filled, str) else "application/json"
    if any(char < " " or char == "\x7f" for value in headers.values() for char in value):
        raise _bad_value("A value cannot stand in a header.")
    return (
        url.copy_merge_params(query) if query else url,
        [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()],
        body,
    )


async def _send(
    request: config.WebRequest, url: httpx.URL, headers: Sequence[tuple[bytes, bytes]], body: bytes | None
) -> bytes:
    """The answer's body. Raises `ToolError` and `TimeoutError`."""
    try:
        async with (
            httpx.AsyncClient(follow_redirects=False, timeout=request.timeout_s) as client,
            client.stream(request.method, url, headers=headers, content=body) as response,
        ):
            _check_head(response)
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > request.max_bytes:
                    raise ToolError(
                        "web_too_large", f"The answer is over {request.max_bytes} bytes.", "Raise its max_bytes."
                    )
            return bytes(content)
    except httpx.TimeoutException:
        raise TimeoutError from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ToolError(
            "web_unreachable",
            f"The service could not be reached ({type(error).__name__}).",
            "Check the network and the request's url.",
        ) from None


def _check_head(response: httpx.Response) -> None:
    if response.has_redirect_location or 300 <= response.status_code < 400:
        raise ToolError("web_redirect", "The service answered with a redirect.", "Put the right address into its url.")
    if not response.is_success:
        raise ToolError(
            "web_status", f"The service answered with HTTP status {response.status_code}.", "Check the request."
        )
    # We asked for none; unpacking would let a small answer become a huge one.
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ToolError("web_too_large", "The service sent a packed answer.", "Use a service that can send plain text.")


def _answer(request: config.WebRequest, content: bytes, slots: Mapping[str, JSON], phrases: Phrases) -> Outcome:
    text = content.decode("utf-8", "replace").strip()
    picked: dict[str, Any] = {}
    if request.pick:
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ToolError("web_not_json", "The answer is no JSON.", "Without pick, the answer is {text}.") from error
        picked = {name: template.pick(value, path) for name, path in request.pick.items()}
    spoken = {name: _spoken(value, phrases) for name, value in picked.items()}
    sentence = template.fill(request.answer, {"text": text, **template.texts(slots), **spoken})
    return Outcome(sentence or phrases.say("done"), data=picked or None)


def _spoken(value: JSON, phrases: Phrases) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return phrases.part("answer_yes" if value else "answer_no")
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return phrases.grammar.join([_spoken(item, phrases) for item in value[:LONGEST_LIST]])
    if isinstance(value, dict | list):
        raise ToolError("web_no_value", "A picked value is no single value.", "Let pick go one step deeper.")
    return str(value)


def _bad_value(what: str) -> ToolError:
    return ToolError("web_bad_value", what, "Say it differently.")
