"""JSON Schema (draft 2020-12) of protobuf messages, in the JSON mapping with the contract's field names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import jsonschema
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.chassis.errors import InvalidArgumentError

M = TypeVar("M", bound=Message)

_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32 = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_INT64 = {"type": ["integer", "string"], "pattern": r"^-?\d{1,19}$"}
_NUMBER = {"type": "number"}
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_DOUBLE: _NUMBER,
    FieldDescriptor.TYPE_FLOAT: _NUMBER,
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT64: _INT64,
    FieldDescriptor.TYPE_FIXED64: _INT64,
}
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
}
_FREE = frozenset(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))
_MAX_CAUSE = 200


def of(descriptor: Descriptor) -> dict[str, Any]:
    """The schema of a message. Nested messages stand in `$defs` under their names."""
    definitions: dict[str, Any] = {}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": descriptor.name,
        **_object(descriptor, definitions),
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def asked(descriptor: Any, fields: Sequence[str] = ()) -> dict[str, Any]:
    """The schema in which a model is asked for a message, in the part of JSON Schema that servers can hold a
    model to: every field is required, one that may be absent is null instead.

    fields: of the outermost message, those that are asked for; all when empty. Raises TypeError for maps and
    free objects, which no server can be held to.
    """
    definitions: dict[str, Any] = {}
    wanted = [descriptor.fields_by_name[name] for name in fields] or list(descriptor.fields)
    schema = {"title": descriptor.name, **_asked_object(wanted, definitions)}
    if definitions:
        schema["$defs"] = definitions
    return schema


def fault(value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a value: the path and the cause; empty when it fits."""
    found = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    return "" if found is None else f"{found.json_path}: {found.message[:_MAX_CAUSE]}"


def parse(value: dict[str, Any], schema: dict[str, Any], kind: type[M], *, agent_id: str) -> M:
    """The value as a message. Raises InvalidArgumentError (INPUTS_INVALID) that names the path and the
    cause.
    """
    validator = jsonschema.Draft202012Validator(schema)
    found = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if found is not None:
        raise _invalid(agent_id, found.json_path, found.message)
    message = kind()
    try:
        json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise _invalid(agent_id, "$", str(error)) from error
    return message


def _invalid(agent_id: str, path: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the inputs do not fit the agent {agent_id}: {path}: {cause[:_MAX_CAUSE]}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": agent_id, "path": path, "cause": cause[:_MAX_CAUSE]},
    )


def _object(descriptor: Descriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {field.name: _field(field, definitions) for field in descriptor.fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _field(field: FieldDescriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {
            "type": "object",
            "additionalProperties": _single(message.fields_by_name["value"], definitions),
        }
    single = _single(field, definitions)
    return {"type": "array", "items": single} if field.is_repeated else single


def _single(field: FieldDescriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None:
        return _message(field.message_type, definitions)
    if field.enum_type is not None:
        # The zero value is never sent.
        return {"enum": [value.name for value in field.enum_type.values if value.number]}
    return dict(_SCALARS[field.type])


def _message(descriptor: Descriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    if descriptor.full_name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[descriptor.full_name])
    if descriptor.name not in definitions:
        # Entered before it is filled, so that a message may hold itself.
        definitions[descriptor.name] = {}
        definitions[descriptor.name].update(_object(descriptor, definitions))
    return {"$ref": f"#/$defs/{descriptor.name}"}


def _asked_object(fields: Sequence[FieldDescriptor], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {field.name: _asked_field(field, definitions) for field in fields}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _asked_field(field: FieldDescriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    single = _asked_single(field, definitions)
    if field.is_repeated:
        return {"type": "array", "items": single}
    return {"anyOf": [single, {"type": "null"}]} if field.has_presence else single


def _asked_single(field: FieldDescriptor, definitions: dict[str, Any]) -> dict[str, Any]:
    message = field.message_type
    if message is None:
        # Of the two forms of a long number a model writes the plain one.
        return {"type": "integer"} if _SCALARS.get(field.type) is _INT64 else _single(field, definitions)
    if message.GetOptions().map_entry or message.full_name in _FREE:
        raise TypeError(f"a model cannot be asked for {message.full_name}")
    if message.full_name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[message.full_name])
    if message.name not in definitions:
        definitions[message.name] = {}
        definitions[message.name].update(_asked_object(list(message.fields), definitions))
    return {"$ref": f"#/$defs/{message.name}"}
