"""A JSON schema said in the OpenAPI 3.0 subset that some models want of their tools' parameters.

Source of the names: `types.Schema` of google-genai 3.4.0. What the subset has no word for is left out: whoever runs a
tool checks its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentbox.messages import JSON

_KEPT = (
    "description",
    "nullable",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)

_FORMATS = {
    "string": ("date-time", "enum"),
    "number": ("float", "double"),
    "integer": ("int32", "int64"),
}


def openapi(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """The schema in the subset; types in capitals, references replaced by what they refer to."""
    return _said(schema, schema, ())


def _said(schema: JSON, root: Mapping[str, JSON], inside: tuple[str, ...]) -> dict[str, JSON]:
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            return {"type": "OBJECT"}  # a schema that refers to itself has no end
        below = _said(_found(reference, root), root, (*inside, reference))
        return below | ({"description": schema["description"]} if "description" in schema else {})
    said: dict[str, JSON] = {key: schema[key] for key in _KEPT if key in schema}
    for key in ("anyOf", "oneOf"):
        alternatives = schema.get(key)
        if isinstance(alternatives, list):
            said = _one_of([_said(one, root, inside) for one in alternatives if not _is_null(one)]) | said
            if any(_is_null(one) for one in alternatives):
                said["nullable"] = True
    said |= _typed(schema)
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        said["properties"] = {name: _said(one, root, inside) for name, one in properties.items()}
        required = schema.get("required")
        if isinstance(required, list):
            said["required"] = [name for name in required if name in properties]
    if "items" in schema:
        said["items"] = _said(schema["items"], root, inside)
    return said


def _one_of(alternatives: list[dict[str, JSON]]) -> dict[str, JSON]:
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": list[JSON](alternatives)}


def _typed(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """Its type, and what depends on that."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    kind = schema.get("type")
    if kind is None and isinstance(values, list) and values:
        kind = "string" if all(isinstance(value, str) for value in values) else None
    kinds = [one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, str)]
    named = [one for one in kinds if one != "null"]
    said: dict[str, JSON] = {"nullable": True} if len(named) < len(kinds) else {}
    if len(named) > 1:
        return said | {"anyOf": [{"type": one.upper()} for one in named]}
    for one in named:
        said["type"] = one.upper()
        if schema.get("format") in _FORMATS.get(one, ()):
            said["format"] = schema["format"]
        # Only words can be enumerated.
        if one == "string" and isinstance(values, list) and values:
            said["enum"] = [value for value in values if isinstance(value, str)]
    return said


def _is_null(schema: JSON) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _found(reference: str, root: Mapping[str, JSON]) -> JSON:
    """What `#/$defs/Name` refers to."""
    place: JSON = dict(root)
    for name in reference.removeprefix("#/").split("/"):
        place = place.get(name) if isinstance(place, dict) else None
    return place
