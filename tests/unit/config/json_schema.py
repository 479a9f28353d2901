"""As much of a JSON Schema validator as the schema of the configuration needs; more in one is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "enum", "pattern", "minLength", "minimum",
    "maximum", "items", "maxItems", "properties", "patternProperties", "additionalProperties", "required",
    "anyOf",
}  # fmt: skip


def problems(value: Any, schema: Schema, root: Schema, path: str = "$") -> Iterator[str]:
    """Yield what a value breaks of a schema."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        yield from problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    if "type" in schema and not _is_of(value, schema["type"]):
        yield f"{path} is not {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is none of {schema['enum']}"
    if "anyOf" in schema and all(any(problems(value, each, root, path)) for each in schema["anyOf"]):
        yield f"{path} is nothing of what it may be"
    match value:
        case str():
            yield from _text(value, schema, path)
        case bool() | None:
            pass
        case int() | float():
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield f"{path} is out of range"
        case list():
            if len(value) > schema.get("maxItems", len(value)):
                yield f"{path} is too long"
            for number, item in enumerate(value):
                yield from problems(item, schema.get("items", {}), root, f"{path}[{number}]")
        case dict():
            yield from _mapping(value, schema, root, path)


def _is_of(value: Any, kinds: str | list[str]) -> bool:
    names = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)


def _text(value: str, schema: Schema, path: str) -> Iterator[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not match {schema['pattern']}"
    if len(value) < schema.get("minLength", 0):
        yield f"{path} is too short"


def _mapping(value: dict[str, Any], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    properties = dict(schema.get("properties", {}))
    for pattern, kind in schema.get("patternProperties", {}).items():
        properties |= {key: kind for key in value if re.search(pattern, key)}
    yield from (f"{path}.{key} is missing" for key in schema.get("required", ()) if key not in value)
    for key, item in value.items():
        if key in properties:
            yield from problems(item, properties[key], root, f"{path}.{key}")
        elif schema.get("additionalProperties") is False:
            yield f"{path}.{key} is not known"
