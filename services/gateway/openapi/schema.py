"""JSON Schema of what rendering makes of contract messages.

A message with a form of its own in rendering has a `Shape` here that names the contract field behind each
member; every other message is described as `rendering.message` writes it. So types, enumerations and nesting
come from the contract, and a test renders messages and holds the result against the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

Schema = dict[str, Any]
# Of a message, an enum, a field: in C or in Python, which have no type in common.
Descriptor = Any

REFERENCE = "#/components/schemas/"

_TIMESTAMP = "google.protobuf.Timestamp"
_DURATION = "google.protobuf.Duration"
_STRUCT = "google.protobuf.Struct"
_VALUE = "google.protobuf.Value"

_INTEGERS = frozenset(
    getattr(FieldDescriptor, f"TYPE_{name}")
    for name in ("INT32", "INT64", "UINT32", "UINT64", "SINT32", "SINT64", "FIXED32", "FIXED64")
)
_FLOATS = frozenset((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT))


def reference(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"{REFERENCE}{name}"}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    if not schema:
        return {}
    if not isinstance(kind, str):
        return {"anyOf": [schema, {"type": "null"}]}
    made = schema | {"type": [kind, "null"]}
    return made | {"enum": [*schema["enum"], None]} if "enum" in schema else made


def array(items: Schema, **limits: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **limits}


def record(members: Mapping[str, Schema], description: str = "", optional: tuple[str, ...] = ()) -> Schema:
    """An object of an answer: all members are there but the optional ones. Later releases may add some."""
    made: Schema = {"type": "object", "properties": dict(members)}
    if needed := [name for name in members if name not in optional]:
        made["required"] = needed
    return made | ({"description": description} if description else {})


def enumeration(descriptor: Descriptor) -> Schema:
    """The names of an enum as rendering writes them, without the one that means nothing."""
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in descriptor.name)
    start = f"{prefix.lstrip('_').upper()}_"
    return {
        "type": "string",
        "enum": [value.name.removeprefix(start) for value in descriptor.values if value.number],
    }


@dataclass(frozen=True)
class Maybe:
    """A member that is null when its field is empty or absent."""

    field: str


# What stands behind a member: a field of the message, one that may be null, or a schema.
Source = str | Maybe | Schema


@dataclass(frozen=True)
class Shape:
    """The form of its own that rendering gives a message.

    name: of the component. render: what makes it. members: what is behind each member. variants: a oneof
    whose field, where there is one, stands under its own name besides. union: a oneof whose field stands
    for the whole, an empty object where there is none. given: what a message leaves open is left out.
    asked: members that are there only for those who ask.
    """

    name: str
    descriptor: Descriptor
    render: Callable[[Any], Any]
    members: Mapping[str, Source] = field(default_factory=dict)
    variants: str = ""
    union: str = ""
    given: bool = False
    asked: tuple[str, ...] = ()


class Components:
    """The schemas of a document by name, made as they are referred to. shapes: forms of their own."""

    def __init__(self, shapes: tuple[Shape, ...]) -> None:
        self._named = {shape.name: shape for shape in shapes}
        # Only the first shape of a message is the one that it has wherever it stands.
        self._own = {shape.descriptor.full_name: shape for shape in reversed(shapes)}
        self._owners: dict[str, str] = {}
        self.schemas: dict[str, Schema] = {}

    def add(self, name: str, schema: Schema) -> Schema:
        """Puts a schema under a name and refers to it."""
        self.schemas.setdefault(name, schema)
        return reference(name)

    def shape(self, name: str) -> Schema:
        """Refers to a shape by its name. Raises KeyError for one that there is not."""
        shape = self._named[name]
        self._claim(name, f"{shape.descriptor.full_name}/{name}")
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name].update(self._shaped(shape))
        return reference(name)

    def message(self, descriptor: Descriptor) -> Schema:
        """Refers to a message as it is rendered wherever it stands."""
        if (shape := self._own.get(descriptor.full_name)) is not None:
            return self.shape(shape.name)
        name = descriptor.name
        self._claim(name, descriptor.full_name)
        if name not in self.schemas:
            # There before it is complete: messages may hold themselves.
            self.schemas[name] = {}
            self.schemas[name].update(self._plain(descriptor))
        return reference(name)

    def _claim(self, name: str, owner: str) -> None:
        if self._owners.setdefault(name, owner) != owner:
            raise ValueError(f"{name} is both {self._owners[name]} and {owner}")

    def _plain(self, descriptor: Descriptor) -> Schema:
        members: dict[str, Schema] = {}
        optional = []
        for part in descriptor.fields:
            name = member_name(part)
            members[name] = self.field(part)
            if in_real_oneof(part):
                optional.append(name)
            elif part.has_presence:
                members[name] = nullable(members[name])
        return record(members, optional=tuple(optional))

    def _shaped(self, shape: Shape) -> Schema:
        description = (shape.render.__doc__ or "").strip().splitlines()
        said: Schema = {"description": description[0]} if description else {}
        if shape.union:
            nothing: Schema = {"type": "object", "maxProperties": 0}
            return {"anyOf": [*self.variants(shape.descriptor, shape.union).values(), nothing], **said}
        if shape.given:
            members = {member_name(part): self.field(part, present=True) for part in shape.descriptor.fields}
            return record(members, optional=tuple(members)) | said
        members = {name: self._source(shape, source) for name, source in shape.members.items()}
        variants = self.variants(shape.descriptor, shape.variants) if shape.variants else {}
        return record(members | variants, optional=(*variants, *shape.asked)) | said

    def variants(self, descriptor: Descriptor, oneof: str) -> dict[str, Schema]:
        """The fields of a oneof by name."""
        return {part.name: self.field(part) for part in descriptor.oneofs_by_name[oneof].fields}

    def _source(self, shape: Shape, source: Source) -> Schema:
        if isinstance(source, dict):
            return source
        maybe = isinstance(source, Maybe)
        path = source.field if isinstance(source, Maybe) else source
        descriptor = shape.descriptor
        *above, last = path.split(".")
        for name in above:
            descriptor = descriptor.fields_by_name[name].message_type
        part = descriptor.fields_by_name[last]
        made = self.field(part, present=True)
        absent = part.enum_type is not None and not part.is_repeated
        return nullable(made) if maybe or absent else made

    def field(self, part: Descriptor, *, present: bool = False) -> Schema:
        """One field. present: it is never the value that means nothing."""
        kind = part.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return {
                "type": "object",
                "additionalProperties": self._single(kind.fields_by_name["value"], present=present),
            }
        if part.is_repeated:
            return array(self._single(part, present=present))
        return self._single(part, present=present)

    def _single(self, part: Descriptor, *, present: bool) -> Schema:
        if part.enum_type is not None:
            names = enumeration(part.enum_type)
            return names if present else nullable(names)
        if part.message_type is not None:
            return self._nested(part.message_type)
        if part.type == FieldDescriptor.TYPE_BOOL:
            return {"type": "boolean"}
        if part.type in _INTEGERS:
            return {"type": "integer"}
        return {"type": "number" if part.type in _FLOATS else "string"}

    def _nested(self, kind: Descriptor) -> Schema:
        known: dict[str, Schema] = {
            _TIMESTAMP: {"type": "string", "format": "date-time"},
            _DURATION: {"type": "number"},
            _STRUCT: {"type": "object"},
            _VALUE: {},
        }
        return known[kind.full_name] if kind.full_name in known else self.message(kind)


def in_real_oneof(part: Descriptor) -> bool:
    """Whether a field is one of several of which one is there; `optional` alone makes none."""
    oneof = part.containing_oneof
    return bool(oneof is not None) and not (len(oneof.fields) == 1 and oneof.name == f"_{part.name}")


def member_name(part: Descriptor) -> str:
    """The name of a field's member: durations say that they are seconds."""
    kind = part.message_type
    return f"{part.name}_seconds" if kind is not None and kind.full_name == _DURATION else str(part.name)
