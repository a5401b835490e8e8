"""The HTTP interface described as OpenAPI 3.1, from its table and its types."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from agentbox import __version__
from agentbox.page.api_line import Line
from agentbox.page.api_table import LINES
from agentbox.page.api_types import Error

ROOT = "/api/v1"

_REFERENCE = "#/components/schemas/{name}"

_ABOUT = (
    "What programs of the owner's can ask of the box. A token comes from `agentbox devices-paired add NAME --scope "
    "SCOPE` or from the page's devices, and goes with each request. The certificate is the box's own: trust the file, "
    "or its fingerprint. Answers may hold more keys than stand here."
)

_REASONS = {
    400: "A parameter or the body is wrong (`parameter_wrong`, `body_wrong`), or the box says why it cannot.",
    401: "No token, or none that counts (`not_paired`).",
    403: "The token's scopes do not allow it (`not_permitted`), a browser sent no form key (`form_stale`), or another "
    "site's page asked.",
    404: "There is no such thing.",
    408: "The body did not come to its end.",
    409: "As many devices are paired as can be (`devices_full`), or somebody else changed the file of sentences "
    "(`sentences_changed`).",
    413: "The body is longer than 1 MiB.",
    415: "The body is not application/json.",
    421: "The Host is not a name of the box.",
    502: "The cloud model cannot be used (`cloud_...`).",
    503: "The box does not answer, or its journal cannot be used.",
}


@functools.cache
def describe() -> dict[str, Any]:
    """The whole description, as plain JSON values."""
    types = [one for line in LINES for one in (line.params, line.answer)]
    refs, components = msgspec.json.schema_components([*types, Error], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for line, params, answer in zip(LINES, refs[::2], refs[1::2], strict=False):
        asked = components[params["$ref"].rpartition("/")[2]]
        paths.setdefault(ROOT + line.path, {})[line.verb.lower()] = _operation(line, asked, answer)
    paths[f"{ROOT}/openapi.json"] = {"get": _itself()}
    used = re.findall(r'"\$ref":"#/components/schemas/(\w+)"', msgspec.json.encode((paths, components)).decode())
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentbox", "version": __version__, "description": _ABOUT, "license": _license()},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name in {*used, "Error"}},
            "responses": {str(status): _failed(reason) for status, reason in _REASONS.items()},
            "securitySchemes": _schemes(),
        },
    }


def _license() -> dict[str, str]:
    return {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _schemes() -> dict[str, Any]:
    return {
        "token": {"type": "http", "scheme": "bearer", "description": "A program's token."},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-agentbox", "description": "A paired browser's."},
        "formKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Form-Key",
            "description": "What the box's own pages hold in the field `form_key`: a browser that changes something "
            "shows by it that such a page asked.",
        },
    }


def _operation(line: Line, params: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", line.path)
    properties, required = dict(params["properties"]), list(params["required"])
    parameters = [_parameter(name, "path", properties.pop(name), True) for name in in_path]
    if line.verb != "POST":
        parameters += [_parameter(name, "query", schema, name in required) for name, schema in properties.items()]
        properties = {}
    needed = [name for name in required if name in properties]
    statuses = [400, 401, 403, *([404] if in_path else []), 421, 503]
    if line.verb == "POST":
        statuses += [408, 413, 415]
    statuses += [409] if line.method in ("devices.add", "sentences.save") else []
    statuses += [502] if line.method == "backends.test" else []
    operation: dict[str, Any] = {
        "operationId": _id_of(line),
        "summary": line.summary,
        "description": f"The control method `{line.method}`. Needs the scope `{line.scope}`.",
        "tags": [line.path.split("/")[1]],
        "security": _security(line.scope, changes=line.verb != "GET"),
        "parameters": parameters,
        "responses": {"200": _good(line, answer), **_refused(statuses)},
    }
    if line.verb == "POST":
        schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
        operation["requestBody"] = {"required": bool(needed), "content": {"application/json": {"schema": schema}}}
    return operation


def _id_of(line: Line) -> str:
    words = re.findall(r"\w+", line.path.replace("{", "by_"))
    return "_".join([line.verb.lower(), *words])


def _itself() -> dict[str, Any]:
    return {
        "operationId": "get_openapi",
        "summary": "This description.",
        "tags": ["openapi"],
        "security": _security(None, changes=False),
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_refused([401, 421, 503]),
        },
    }


def _parameter(name: str, place: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _security(scope: str | None, *, changes: bool) -> list[dict[str, list[str]]]:
    scopes = [scope] if scope else []
    return [{"token": scopes}, {"cookie": scopes, **({"formKey": []} if changes else {})}]


def _good(line: Line, answer: dict[str, Any]) -> dict[str, Any]:
    if not line.streams:
        return {"description": "Done.", "content": {"application/json": {"schema": answer}}}
    schema = {"type": "string", "contentMediaType": "application/x-ndjson", "contentSchema": answer}
    about = 'One JSON object a line. An error that comes later is the last line: `{"error": {"code", "what", "todo"}}`.'
    return {"description": about, "content": {"application/x-ndjson": {"schema": schema}}}


def _refused(statuses: Sequence[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _failed(reason: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name="Error")}
    return {"description": reason, "content": {"application/json": {"schema": schema}}}
