"""What requests may hold. Bodies are read strictly: a field that is not listed is refused."""

from __future__ import annotations

from typing import Any

from meldrag.agents.v1 import workflow_pb2
from services.gateway.openapi.schema import Schema, array, enumeration, nullable, reference

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_MESSAGE: Schema = {"type": "string", "minLength": 1, "maxLength": 32_000}
_ID: Schema = {"type": "string", "minLength": 1}
_COLLECTION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$"}
_COLLECTIONS = array(_COLLECTION)
_SESSION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_STEP_ID: Schema = {"type": "string", "pattern": "^[a-z0-9_]{1,64}$"}
_SECONDS: Schema = {"type": "number", "minimum": 1, "maximum": 86_400}
_SHA256: Schema = {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{64}$",
    "description": "Of the file; checked where it is given.",
}
_METADATA: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_OBJECT: Schema = {"type": "object"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_POSITION: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def _body(needed: dict[str, Schema], optional: dict[str, Schema], **more: Any) -> Schema:
    """An object of exactly these members; null says the same as leaving an optional one out."""
    made: Schema = {
        "type": "object",
        "properties": {**needed, **{name: nullable(schema) for name, schema in optional.items()}},
        "additionalProperties": False,
    }
    return made | ({"required": list(needed)} if needed else {}) | more


def _names(schema: Schema) -> Schema:
    """An enumeration in small letters, as requests write it."""
    return {"type": "string", "enum": [name.lower() for name in schema["enum"]]}


_QUERY: Schema = {"type": "string", "minLength": 1, "maxLength": 8000}
_FILTER = _body(
    {},
    {
        **dict.fromkeys(("document_ids", "external_ids", "media_types"), array(_TEXT)),
        "created_from": _TIME,
        "created_before": _TIME,
        "metadata": _METADATA,
    },
    description="Conditions on documents; all that are given must hold.",
)
_SEARCH: dict[str, Schema] = {
    "top_k": {"type": "integer", "minimum": 1, "maximum": 1000},
    "mode": {"type": "string", "enum": ["hybrid", "dense", "lexical"]},
    "similarity_threshold": {"type": "number", "minimum": -1, "maximum": 1},
    "filter": reference("Filter"),
    "explain": _FLAG,
}
_RUN: dict[str, Schema] = {
    "session_id": _SESSION,
    "collections": _COLLECTIONS,
    "inputs": _OBJECT,
    "stream": _FLAG | {"description": "Answer with events."},
    "background": _FLAG | {"description": "Answer 202 at once; the run is followed under its events_url."},
}
_STEP = _body(
    {"step_id": _STEP_ID},
    {
        "agent_id": _TEXT,
        "title": _TEXT,
        "after": array(_TEXT),
        "inputs": _OBJECT,
        "message": _TEXT,
        "bindings": array(_body({"input": _ID, "source": _ID}, {"optional": _FLAG})),
        "attempts": {"type": "integer", "minimum": 0},
        "on_failure": _names(enumeration(workflow_pb2.FailurePolicy.DESCRIPTOR)),
        "timeout_seconds": _SECONDS,
        "collection_ids": _COLLECTIONS,
        "condition": _body(
            {"source": _ID},
            {"comparison": _names(enumeration(workflow_pb2.Comparison.DESCRIPTOR)), "value": {}},
        ),
        "approval": _body({"question": _ID}, {"timeout_seconds": _SECONDS, "approve_on_timeout": _FLAG}),
        "meld": _body({}, {}),
    },
)
_WORKFLOW: dict[str, Schema] = {"title": _TEXT, "description": _TEXT, "steps": array(reference("Step"))}

BODIES: dict[str, Schema] = {
    "NewCollection": _body(
        {},
        {
            "id": _COLLECTION,
            "name": _COLLECTION | {"description": "Another word for id."},
            "description": _TEXT | {"maxLength": 1000},
        },
        anyOf=[{"required": ["id"]}, {"required": ["name"]}],
    ),
    "NewDocument": _body(
        {"file": _TEXT | {"contentMediaType": "application/octet-stream"}},
        {
            "external_id": _TEXT | {"maxLength": 512},
            "title": _TEXT | {"maxLength": 1000},
            "metadata": _METADATA,
            "sha256": _SHA256,
        },
    ),
    "DocumentLine": _body(
        {"text": _TEXT}, {"id": _TEXT | {"maxLength": 512}, "title": _TEXT, "metadata": _METADATA}
    ),
    "NewAttachment": _body(
        {"file": _TEXT | {"contentMediaType": "application/octet-stream"}},
        {
            "session_id": _SESSION,
            "sha256": _SHA256,
        },
    ),
    "Filter": _FILTER,
    "Search": _body({"query": _QUERY}, _SEARCH),
    "SearchOfSeveral": _body({"query": _QUERY, "collections": array(_COLLECTION, minItems=1)}, _SEARCH),
    "Citations": _body(
        {
            "citations": array(
                _body(
                    {
                        "document_id": _ID,
                        "extraction_sha256": _ID,
                        "byte_start": _POSITION,
                        "byte_end": _POSITION,
                        "quote": _TEXT,
                    },
                    # What a run's citation carries besides is no part of the claim.
                    {name: {} for name in ("title", "page", "location", "number", "collection")},
                )
            )
        },
        {},
    ),
    "Message": _body({"message": _MESSAGE}, {}),
    "NewRun": _body(
        {"message": _MESSAGE},
        {
            "agent": _TEXT | {"description": "An agent's id, or auto (also when absent)."},
            **_RUN,
            "top_k": {"type": "integer", "minimum": 1, "maximum": 100},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "max_output_tokens": {"type": "integer", "minimum": 1},
        },
    ),
    "Step": _STEP,
    "NewWorkflowRun": _body(
        {"message": _MESSAGE},
        {
            "workflow": _TEXT | {"description": "A workflow's id."},
            "steps": array(reference("Step")),
            **_RUN,
        },
    ),
    "NewWorkflow": _body({"id": _ID}, _WORKFLOW),
    "ChangedWorkflow": _body(
        {},
        {
            **_WORKFLOW,
            "revision": {
                "type": "integer",
                "minimum": 0,
                "description": "Replaces only the revision of this number; 0 replaces any.",
            },
        },
    ),
    "Steps": _body({}, {"steps": array(reference("Step"))}),
    "Decision": _body({"approved": _FLAG}, {"comment": _TEXT}),
    "NewSession": _body(
        {}, {"title": _TEXT | {"maxLength": 200}, "collections": _COLLECTIONS, "metadata": _METADATA}
    ),
    "ChangedSession": _body(
        {}, {"title": _TEXT | {"maxLength": 200}, "collections": _COLLECTIONS, "metadata": _METADATA}
    ),
    "Empty": _body({}, {}, description="Nothing, or an empty object."),
}
