"""JSON Schema of what the gateway renders: the shape of a tool's structured result."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from services.gateway.rendering import OWN_FORMS, field_name, in_real_oneof

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_WHOLE: Schema = {"type": ["integer", "null"]}
_WELL_KNOWN: dict[str, Schema] = {
    timestamp_pb2.Timestamp.DESCRIPTOR.full_name: _TEXT,
    duration_pb2.Duration.DESCRIPTOR.full_name: {"type": "number"},
    struct_pb2.Struct.DESCRIPTOR.full_name: {"type": "object"},
    struct_pb2.Value.DESCRIPTOR.full_name: {},
}


def objects(properties: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    """An object that has these properties, all but the optional ones always."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def listed(items: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": items}


CITATION = objects(
    {
        "number": _WHOLE,
        "document_id": _TEXT,
        "collection": _TEXT,
        "title": _TEXT,
        "extraction_sha256": _TEXT,
        "byte_start": _WHOLE,
        "byte_end": _WHOLE,
        "quote": _TEXT,
        "page": _MAYBE_WHOLE,
        "location": _MAYBE_TEXT,
    }
)
HIT = objects(
    {
        "document_id": _TEXT,
        "external_id": _TEXT,
        "title": _TEXT,
        "chunk_id": _TEXT,
        "collection": _TEXT,
        "text": _TEXT,
        "byte_start": _WHOLE,
        "byte_end": _WHOLE,
        "extraction_sha256": _TEXT,
        "page": _MAYBE_WHOLE,
        "location": _MAYBE_TEXT,
        "score": {"type": "number"},
    }
)
SEARCH = objects(
    {"hits": listed(HIT), "mode": _MAYBE_TEXT, "degraded_reason": _MAYBE_TEXT, "pending_vectors": _WHOLE}
)
VERDICTS = objects(
    {
        "results": listed(
            objects(
                {
                    "verified": {"type": "boolean"},
                    "fault": _MAYBE_TEXT,
                    "page": _MAYBE_WHOLE,
                    "location": _MAYBE_TEXT,
                }
            )
        )
    }
)


def run(result: Schema, definitions: dict[str, Schema] | None = None) -> Schema:
    """A whole answer whose typed result has such a shape. definitions: what it refers to."""
    properties = {
        "run_id": _TEXT,
        "agent": _TEXT,
        "answer_mode": _MAYBE_TEXT,
        "text": _TEXT,
        "citations": listed(CITATION),
        "result": {"anyOf": [result, {"type": "null"}]},
        "usage": {"type": "object"},
        "degraded": listed({"type": "object"}),
        "session_id": _MAYBE_TEXT,
        "events_url": _TEXT,
    }
    schema = objects(properties)
    return {**schema, "$defs": definitions} if definitions else schema


def rendered(descriptor: Any, definitions: dict[str, Schema]) -> Schema:
    """What `rendering.message` makes of a message. Nested messages are added to `definitions`."""
    name = descriptor.full_name
    if name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[name])
    if name in OWN_FORMS:
        return {"type": "object"}
    if descriptor.name not in definitions:
        # Entered before it is filled, so that a message may hold itself.
        definitions[descriptor.name] = {}
        properties = {field_name(field): _field(field, definitions) for field in descriptor.fields}
        absent = tuple(field_name(field) for field in descriptor.fields if in_real_oneof(field))
        definitions[descriptor.name].update(objects(properties, optional=absent))
    return {"$ref": f"#/$defs/{descriptor.name}"}


def _field(field: Any, definitions: dict[str, Schema]) -> Schema:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _single(kind.fields_by_name["value"], definitions)}
    single = _single(field, definitions)
    if field.is_repeated:
        return listed(single)
    if field.has_presence and not in_real_oneof(field):
        return {"anyOf": [single, {"type": "null"}]}
    return single


def _single(field: Any, definitions: dict[str, Schema]) -> Schema:
    if field.message_type is not None:
        return rendered(field.message_type, definitions)
    if field.enum_type is not None:
        return dict(_MAYBE_TEXT)
    kind = {
        field.CPPTYPE_STRING: "string",
        field.CPPTYPE_BOOL: "boolean",
        field.CPPTYPE_DOUBLE: "number",
        field.CPPTYPE_FLOAT: "number",
    }.get(field.cpp_type, "integer")
    return {"type": kind}
