"""What JSON Schemas say of a place, and whether what stands at one place can stand at another.

The schemas are those of services.agents.json_schema: objects with properties, arrays, enums, scalars, `$ref`
to `$defs`, and `{}` for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Messages that hold themselves are compared down to here.
_MAX_DEPTH = 8

# What stands at a place that the contract leaves out because it has its default.
_DEFAULTS: dict[str, Any] = {"array": [], "string": "", "number": 0, "integer": 0, "boolean": False}


@dataclass(frozen=True)
class Place:
    """A schema with the document that its references lead into."""

    schema: dict[str, Any]
    root: dict[str, Any]

    @classmethod
    def of(cls, root: dict[str, Any]) -> Place:
        """The whole of a document."""
        return cls(root, root)

    @property
    def free(self) -> bool:
        """Nothing is known of what stands here."""
        return not self.schema

    @property
    def kinds(self) -> frozenset[str]:
        """The JSON types that may stand here; none when nothing is known."""
        if "enum" in self.schema:
            return frozenset({"string"})
        kinds = self.schema.get("type", ())
        return frozenset([kinds] if isinstance(kinds, str) else kinds)

    @property
    def default(self) -> Any:
        """What is meant when nothing is written here; None for nothing."""
        if "enum" in self.schema:
            return None
        return next((_DEFAULTS[kind] for kind in sorted(self.kinds) if kind in _DEFAULTS), None)

    def inner(self, schema: dict[str, Any]) -> Place:
        """A place of the same document, behind its reference."""
        name = schema.get("$ref", "").rpartition("/")[2]
        return Place(self.root["$defs"][name] if name else schema, self.root)

    def at(self, path: Sequence[str]) -> Place:
        """The place behind a path of fields, and of positions in lists. Raises LookupError, in words."""
        place = self
        for part in path:
            place = place._part(part)
        return place

    def _part(self, part: str) -> Place:
        if self.free:
            return self
        schema = self.schema
        if "properties" in schema:
            if part not in schema["properties"]:
                raise LookupError(f"there is no field {part!r}; there are {', '.join(schema['properties'])}")
            return self.inner(schema["properties"][part])
        if "items" in schema:
            if not part.isdecimal():
                raise LookupError(f"a list has positions from 0, and no field {part!r}")
            return self.inner(schema["items"])
        if "object" in self.kinds:
            more = schema.get("additionalProperties", {})
            return self.inner(more if isinstance(more, dict) else {})
        if "array" in self.kinds:
            return Place({}, self.root)
        raise LookupError(f"{_told(self.kinds)} has no field {part!r}")


def misfit(source: Place, target: Place, depth: int = 0) -> str:
    """Why what stands at the source can never stand at the target; "" when it can."""
    if source.free or target.free or depth > _MAX_DEPTH:
        return ""
    one, other = source.kinds, target.kinds
    if "integer" in one and "number" in other:
        one = one | {"number"}
    if "number" in one and "integer" in other:
        # Some numbers are whole.
        one = one | {"integer"}
    common = one & other
    if not common:
        return f"{_told(source.kinds)} stands there, and {_told(other)} is needed"
    if "enum" in source.schema and "enum" in target.schema:
        if not set(source.schema["enum"]) & set(target.schema["enum"]):
            return "the names that may stand there are others than those that are needed"
        return ""
    if "array" in common and "items" in source.schema and "items" in target.schema:
        cause = misfit(source.inner(source.schema["items"]), target.inner(target.schema["items"]), depth + 1)
        return f"in the list: {cause}" if cause else ""
    if "properties" in source.schema and "properties" in target.schema:
        return _misfit_of_fields(source, target, depth)
    return ""


def _misfit_of_fields(source: Place, target: Place, depth: int) -> str:
    for name, schema in source.schema["properties"].items():
        if name not in target.schema["properties"]:
            return f"there is a field {name!r} that is not known where it is needed"
        cause = misfit(source.inner(schema), target.inner(target.schema["properties"][name]), depth + 1)
        if cause:
            return f"in {name!r}: {cause}"
    return ""


def _told(kinds: frozenset[str]) -> str:
    return " or ".join(f"{'an' if kind[0] in 'aio' else 'a'} {kind}" for kind in sorted(kinds))
