"""Sentence templates that come with a tool, as a sentence file the intents room can read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentbox.messages import JSON
from agentbox.tools.declaration import Tool

LARGEST_NUMBER = 1000


def sentences_of(tools: Iterable[Tool], language: str) -> dict[str, JSON]:
    """`{"language", "intents", "lists"}` of all tools with templates for `language` (by primary subtag).

    A template's `{slot}` becomes a list by the parameter's type: a choice for a literal or an enum, numbers for an
    int, any words otherwise. The lists are named after tool and parameter, so they meet nobody else's.
    """
    subtag = language.split("-")[0]
    intents: dict[str, JSON] = {}
    lists: dict[str, JSON] = {}
    for tool in tools:
        templates = tool.sentences.get(language) or tool.sentences.get(subtag)
        if not templates or not tool.intents:
            continue
        for slot, schema in tool.schema["properties"].items():
            name = f"{tool.name}_{slot}"
            if any(f"{{{slot}}}" in template for template in templates):
                lists[name] = _list(schema)
                templates = [template.replace(f"{{{slot}}}", f"{{{name}:{slot}}}") for template in templates]
        intents[tool.intents[0]] = {"data": [{"sentences": list(templates)}]}
    return {"language": language, "intents": intents, "lists": lists}


def _list(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    kinds = [schema, *schema.get("anyOf", [])]
    for kind in kinds:
        if "enum" in kind:
            return {"values": [{"in": str(value).replace("_", " "), "out": value} for value in kind["enum"]]}
        if kind.get("type") == "integer":
            return {"range": {"from": kind.get("minimum", 0), "to": kind.get("maximum", LARGEST_NUMBER)}}
    return {"wildcard": True}
