"""What is taken over of a JSON Schema that somebody else wrote.

A schema is a program for the validator: references can make it work for ever or fetch from elsewhere, and a
pattern can take years. So references are resolved here, as far as that ends, and all that is not in a list is
left out. What is left is looser than the original; the server checks its arguments itself.
"""

from __future__ import annotations

from typing import Any

from services.agents.answering import prompt

Schema = dict[str, Any]

_MAX_NODES = 1_000
_MAX_DEPTH = 24
_MAX_TEXT = 500
_MAX_VALUES = 200
_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
_BOUNDS = frozenset(
    f"{least_or_most}{of}" for least_or_most in ("min", "max") for of in ("imum", "Length", "Items")
) | {"exclusiveMinimum", "exclusiveMaximum"}
_LISTS = frozenset(("anyOf", "oneOf", "allOf"))
_PLACES = ("#/$defs/", "#/definitions/")


class SchemaError(ValueError):
    """A schema that is not taken over. The message says why, without a word of it."""


def tamed(schema: Any) -> Schema:
    """The schema of a tool's arguments, an object, without references and patterns. Raises SchemaError."""
    if not isinstance(schema, dict):
        raise SchemaError("it is no object")
    made = _Taming(schema).of(schema, 0, ())
    if made.setdefault("type", "object") != "object":
        raise SchemaError("the arguments are no object")
    made.setdefault("properties", {})
    return made


def plain(text: Any, limit: int = _MAX_TEXT) -> str:
    """A description, cut, in one line, without the marks by which model servers tell roles apart."""
    words = " ".join(str(text).split()) if isinstance(text, str) else ""
    return prompt.harmless(words[:limit])


class _Taming:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0

    def of(self, schema: Any, depth: int, within: tuple[str, ...]) -> Schema:
        """within: the references that led here."""
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise SchemaError("it is too large")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise SchemaError("a part of it is no schema")
        if "$ref" in schema:
            place = schema["$ref"]
            if not isinstance(place, str) or place in within:
                raise SchemaError("it refers to itself")
            return self.of(self._found(place), depth + 1, (*within, place))
        made: Schema = {}
        for name, value in schema.items():
            self._take(made, name, value, depth, within)
        return made

    def _take(self, made: Schema, name: str, value: Any, depth: int, within: tuple[str, ...]) -> None:
        match name:
            case "properties":
                if not isinstance(value, dict):
                    raise SchemaError("its properties are no object")
                made[name] = {str(key)[:100]: self.of(part, depth + 1, within) for key, part in value.items()}
            case "items" if isinstance(value, dict):
                made[name] = self.of(value, depth + 1, within)
            case "additionalProperties":
                made[name] = value if isinstance(value, bool) else self.of(value, depth + 1, within)
            case "type" if value in _TYPES if isinstance(value, str) else False:
                made[name] = value
            case "type" if (
                isinstance(value, list)
                and value
                and all(isinstance(one, str) and one in _TYPES for one in value)
            ):
                made[name] = list(value)
            case "required" if isinstance(value, list):
                made[name] = [one[:100] for one in value[:_MAX_VALUES] if isinstance(one, str)]
            case "enum" if isinstance(value, list) and 0 < len(value) <= _MAX_VALUES:
                made[name] = [one for one in value if one is None or isinstance(one, (str, int, float))]
            case "const" if value is None or isinstance(value, (str, int, float)):
                made[name] = value
            case "description" | "title":
                made[name] = plain(value)
            case _ if name in _BOUNDS and isinstance(value, (int, float)) and not isinstance(value, bool):
                made[name] = value
            case _ if name in _LISTS and isinstance(value, list) and value:
                made[name] = [self.of(one, depth + 1, within) for one in value]

    def _found(self, place: str) -> Any:
        start = next((start for start in _PLACES if place.startswith(start)), "")
        definitions = self._root.get(start[2:-1]) if start else None
        name = place.removeprefix(start).replace("~1", "/").replace("~0", "~")
        if not isinstance(definitions, dict) or name not in definitions:
            raise SchemaError("it refers to something outside of itself")
        return definitions[name]
