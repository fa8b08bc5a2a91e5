"""From contract messages to the JSON that clients see.

Field names stay as in the contract unless a resource below renames them; enum
values lose their prefix, whole numbers are numbers, times are RFC 3339 in UTC,
durations are seconds under a name that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2

Json = Any


def message(value: Message) -> dict[str, Json]:
    """A message, field by field; absent messages and optional fields are null, absent oneofs are left out."""
    if (own := OWN_FORMS.get(value.DESCRIPTOR.full_name)) is not None:
        return own(value)
    result: dict[str, Json] = {}
    for field in value.DESCRIPTOR.fields:
        if in_real_oneof(field):
            if value.HasField(field.name):
                result[field_name(field)] = _single(field, getattr(value, field.name))
        elif field.is_repeated:
            result[field_name(field)] = _repeated(field, getattr(value, field.name))
        elif field.has_presence and not value.HasField(field.name):
            result[field_name(field)] = None
        else:
            result[field_name(field)] = _single(field, getattr(value, field.name))
    return result


def in_real_oneof(field: Any) -> bool:
    """Whether a field is one of several of which one is there; an optional field is not."""
    oneof = field.containing_oneof
    return bool(oneof is not None) and not (len(oneof.fields) == 1 and oneof.name == f"_{field.name}")


def field_name(field: Any) -> str:
    """What a field of a message is called."""
    kind = field.message_type
    if kind is not None and kind.full_name == duration_pb2.Duration.DESCRIPTOR.full_name:
        return f"{field.name}_seconds"
    return str(field.name)


def _repeated(field: Any, value: Any) -> Json:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return {str(key): _single(kind.fields_by_name["value"], item) for key, item in value.items()}
    return [_single(field, item) for item in value]


def _single(field: Any, value: Any) -> Json:
    if field.enum_type is not None:
        return enum_name(field.enum_type, value)
    if isinstance(value, timestamp_pb2.Timestamp):
        return time(value)
    if isinstance(value, duration_pb2.Duration):
        return value.ToMilliseconds() / 1000
    if isinstance(value, struct_pb2.Struct):
        return struct(value)
    if isinstance(value, struct_pb2.Value):
        return _struct_value(value)
    if isinstance(value, Message):
        return message(value)
    return value


def enum_name(descriptor: Any, number: int) -> str | None:
    """The value's name without the enum's prefix; null for the value that means nothing."""
    if number == 0:
        return None
    known = descriptor.values_by_number.get(number)
    if known is None:
        return str(number)
    prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in descriptor.name)
    return str(known.name).removeprefix(f"{prefix.lstrip('_').upper()}_")


def time(value: timestamp_pb2.Timestamp) -> str:
    """RFC 3339, UTC, milliseconds."""
    moment = timestamp_pb2.Timestamp(seconds=value.seconds, nanos=value.nanos // 1_000_000 * 1_000_000)
    text = moment.ToJsonString()
    return text if "." in text else text.replace("Z", ".000Z")


def struct(value: struct_pb2.Struct) -> dict[str, Json]:
    """A JSON object; numbers without a fraction are whole numbers."""
    return {key: _struct_value(item) for key, item in sorted(value.fields.items())}


def _struct_value(value: struct_pb2.Value) -> Json:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == "struct_value":
        return struct(value.struct_value)
    if kind == "list_value":
        return [_struct_value(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def _optional_time(owner: Message, field: str) -> str | None:
    return time(getattr(owner, field)) if owner.HasField(field) else None


def collection(value: vector_pb2.Collection) -> dict[str, Json]:
    """A knowledge base; its name is its id."""
    return {
        "id": value.collection_id,
        "name": value.collection_id,
        "description": value.description,
        "embedding_model": value.embedding_model,
        "dimension": value.dimension,
        "documents": value.documents,
        "chunks": value.chunks,
        "vectors": value.vectors,
        "created": _optional_time(value, "create_time"),
        "owner": value.owner,
        "role": enum_name(vector_pb2.CollectionRole.DESCRIPTOR, value.role),
        "access": list(map(_grant, value.grants)),
        "embedding_revision": value.embedding_revision or None,
        "embedding_notice": value.embedding_notice or None,
        "reembedding": reembedding(value.reembedding) if value.HasField("reembedding") else None,
        "previous_embedding": previous_embedding(value.previous_embedding)
        if value.HasField("previous_embedding")
        else None,
    }


def reembedding(value: vector_pb2.Reembedding) -> dict[str, Json]:
    """Vectors that are being built."""
    return {
        "embedding_model": value.embedding_model,
        "dimension": value.dimension,
        "embedding_revision": value.embedding_revision or None,
        "stage": enum_name(vector_pb2.ReembedStage.DESCRIPTOR, value.stage),
        "chunks": value.chunks,
        "vectors": value.vectors,
        "refused_chunks": value.refused_chunks,
        "began": _optional_time(value, "begin_time"),
        "reverts": value.reverts,
    }


def previous_embedding(value: vector_pb2.PreviousEmbedding) -> dict[str, Json]:
    """Vectors that answered before."""
    return {
        "embedding_model": value.embedding_model,
        "dimension": value.dimension,
        "embedding_revision": value.embedding_revision or None,
        "vectors": value.vectors,
        "expires": _optional_time(value, "expire_time"),
    }


def reembed_step(value: vector_pb2.ReembedCollectionResponse) -> dict[str, Json]:
    """How far a change of model is; at its end with the collection."""
    return {
        "reembedding": reembedding(value.reembedding),
        "collection": collection(value.collection) if value.HasField("collection") else None,
    }


def _grant(value: vector_pb2.Grant) -> dict[str, Json]:
    role = enum_name(vector_pb2.CollectionRole.DESCRIPTOR, value.role)
    if value.WhichOneof("grantee") == "subject":
        return {"user": value.subject, "role": role}
    return {"group": value.group, "role": role}


def document(value: vector_pb2.Document) -> dict[str, Json]:
    """A document and how far it is."""

    def fault(name: str) -> dict[str, Json] | None:
        found = getattr(value, name)
        return {"reason": found.reason, "message": found.message} if value.HasField(name) else None

    return {
        "id": value.document_id,
        "collection": value.collection_id,
        "external_id": value.external_id,
        "title": value.title,
        "filename": value.filename,
        "state": enum_name(vector_pb2.DocumentState.DESCRIPTOR, value.state),
        "error": fault("error"),
        "bytes": value.bytes,
        "chunks": value.chunks,
        "vectors": value.vectors,
        "media_type": value.media_type,
        "content_sha256": value.content_sha256,
        "has_original": value.has_original,
        "extraction_sha256": value.extraction_sha256,
        "text_bytes": value.text_bytes,
        "pages": value.pages or None,
        "warnings": list(value.warnings),
        "metadata": struct(value.metadata),
        "created": _optional_time(value, "create_time"),
        "queue": _queue(value.queue) if value.HasField("queue") else None,
        "reprocessing": value.reprocessing,
        "reprocess_error": fault("reprocess_error"),
    }


def _queue(value: vector_pb2.QueuePlace) -> dict[str, Json]:
    seconds = value.remaining.ToMilliseconds() / 1000 if value.HasField("remaining") else None
    return {"position": value.position, "remaining_seconds": seconds}


def hit(value: vector_pb2.Hit) -> dict[str, Json]:
    """A passage that was found."""
    return {
        "document_id": value.document_id,
        "external_id": value.external_id,
        "title": value.title,
        "chunk_id": value.chunk_id,
        "collection": value.collection_id,
        "text": value.text,
        "byte_start": value.span.byte_start,
        "byte_end": value.span.byte_end,
        "extraction_sha256": value.extraction_sha256,
        "page": value.page or None,
        "location": value.location or None,
        "headings": list(value.headings),
        "score": value.score,
        "lexical_score": value.lexical_score,
        "vector_score": value.vector_score,
        "late_interaction_score": value.late_interaction_score,
    }


def search(value: vector_pb2.SearchResponse, explain: bool) -> dict[str, Json]:
    """Hits, best first; the dropped candidates where they were asked for."""
    result: dict[str, Json] = {
        "hits": [hit(item) for item in value.hits],
        "mode": enum_name(vector_pb2.SearchMode.DESCRIPTOR, value.mode),
        "degraded_reason": value.degraded_reason or None,
        "pending_vectors": value.pending_vectors,
    }
    if explain:
        result["dropped"] = [message(item) for item in value.dropped]
    return result


def verdict(value: vector_pb2.CitationVerdict) -> dict[str, Json]:
    """Whether a citation holds."""
    return {
        "verified": value.verified,
        "fault": enum_name(vector_pb2.CitationFault.DESCRIPTOR, value.fault),
        "page": value.page or None,
        "location": value.location or None,
    }


def session(value: session_pb2.Session) -> dict[str, Json]:
    """A conversation."""
    return {
        "id": value.session_id,
        "title": value.title,
        "collections": list(value.collection_ids),
        "messages": value.messages,
        "metadata": struct(value.metadata),
        "created": _optional_time(value, "create_time"),
        "updated": _optional_time(value, "update_time"),
        "expires": _optional_time(value, "expire_time"),
    }


def session_match(value: session_pb2.SessionMatch) -> dict[str, Json]:
    """A conversation in which something was said, and the text that shows it, in pieces."""
    return {
        "session": session(value.session),
        "message": matched_message(value.message) if value.HasField("message") else None,
        "snippet": [{"text": piece.text, "matched": piece.matched} for piece in value.snippet],
    }


def matched_message(value: session_pb2.MatchedMessage) -> dict[str, Json]:
    """A turn of a conversation, without what was said."""
    return {
        "id": value.message_id,
        "sequence": value.sequence,
        "role": enum_name(session_pb2.Role.DESCRIPTOR, value.role),
        "agent": value.agent_id or None,
        "created": _optional_time(value, "create_time"),
    }


def user(value: identity_pb2.User) -> dict[str, Json]:
    """A person or program that may sign in."""
    return {
        "id": value.user_id,
        "name": value.name,
        "role": value.role,
        "groups": list(value.groups),
        "disabled": value.disabled,
        "tenant": value.tenant_id,
        "issuer": value.issuer or None,
        "created": _optional_time(value, "create_time"),
        "updated": _optional_time(value, "update_time"),
    }


def api_key(value: identity_pb2.ApiKey) -> dict[str, Json]:
    """A key for a program, without its secret."""
    return {
        "id": value.api_key_id,
        "user": value.user_id,
        "label": value.label,
        "prefix": value.prefix,
        "role": value.role,
        "scopes": scopes(value.scopes),
        "created": _optional_time(value, "create_time"),
        "last_used": _optional_time(value, "last_use_time"),
        "expires": _optional_time(value, "expire_time"),
    }


def embedding_model(value: vector_pb2.EmbeddingModel) -> dict[str, Json]:
    """A model that collections may have."""
    return {
        "name": value.name,
        "dimension": value.dimension,
        "revision": value.revision or None,
        "configured": value.configured,
    }


def quota(value: identity_pb2.Quota) -> dict[str, Json]:
    """What may be used up in a time; where there is no limit nothing is counted."""
    limited = value.limit >= 0
    return {
        "unit": value.unit,
        "limit": value.limit if limited else None,
        "used": value.used if limited else None,
        "reset": _optional_time(value, "reset_time"),
    }


def webhook(value: webhook_pb2.Webhook) -> dict[str, Json]:
    """Where messages are sent, and which; without its secret."""
    return {
        "id": value.webhook_id,
        "url": value.url,
        "label": value.label,
        "event_types": list(value.event_types),
        "include_answer": value.include_answer,
        "enabled": value.enabled,
        "disabled_reason": value.disabled_reason or None,
        "failing_since": _optional_time(value, "failing_time"),
        "dropped_messages": value.dropped_messages,
        "previous_secret_expires": _optional_time(value, "previous_secret_expire_time"),
        "created": _optional_time(value, "create_time"),
        "updated": _optional_time(value, "update_time"),
    }


def webhook_delivery(value: webhook_pb2.WebhookDelivery) -> dict[str, Json]:
    """A message of a webhook, and how it fared."""
    return {
        "id": value.message_id,
        "webhook": value.webhook_id,
        "event_type": value.event_type,
        "state": enum_name(webhook_pb2.WebhookDeliveryState.DESCRIPTOR, value.state),
        "attempts": value.attempts,
        "last_status": value.last_status or None,
        "last_error": value.last_error or None,
        "event_time": _optional_time(value, "event_time"),
        "last_attempt": _optional_time(value, "last_attempt_time"),
        "next_attempt": _optional_time(value, "next_attempt_time"),
    }


def scopes(values: Iterable[int]) -> list[str]:
    """Permissions by name, as in "knowledge_read"; what everybody may is left out."""
    named = (enum_name(options_pb2.Scope.DESCRIPTOR, value) for value in sorted(values))
    return [name.lower() for name in named if name not in (None, "PUBLIC")]


def attachment(value: session_pb2.Attachment) -> dict[str, Json]:
    """A file that belongs to a conversation, or that an agent made."""
    return {
        "id": value.attachment_id,
        "session_id": value.session_id or None,
        "run_id": value.run_id or None,
        "filename": value.filename,
        "media_type": value.media_type,
        "bytes": value.bytes,
        "sha256": value.sha256,
        "created": _optional_time(value, "create_time"),
        "expires": _optional_time(value, "expire_time"),
    }


def session_message(value: session_pb2.Message) -> dict[str, Json]:
    """A turn of a conversation."""
    return {
        "id": value.message_id,
        "sequence": value.sequence,
        "role": enum_name(session_pb2.Role.DESCRIPTOR, value.role),
        "text": value.text,
        "agent": value.agent_id or None,
        "run_id": value.run_id or None,
        "attributes": struct(value.attributes),
        "created": _optional_time(value, "create_time"),
    }


def agent(value: agents_pb2.Agent) -> dict[str, Json]:
    """An agent with its inputs and its result as JSON Schema."""
    return {
        "id": value.agent_id,
        "name": value.display_name,
        "purpose": value.purpose,
        "input_schema": struct(value.input_schema),
        "result_schema": struct(value.result_schema),
        "tools": list(value.tools),
        "examples": list(value.examples),
        "passes_tools": value.passes_tools,
    }


def route(value: agents_pb2.RouteTaskResponse) -> dict[str, Json]:
    """Which agent should take a message, and why."""
    return {
        "agent": value.agent_id,
        "confidence": value.confidence,
        "reasons": list(value.reasons),
        "alternatives": [
            {"agent": item.agent_id, "confidence": item.confidence} for item in value.alternatives
        ],
    }


def citation(value: agents_pb2.Citation) -> dict[str, Json]:
    """A verified quote and where it stands."""
    return {
        "number": value.number,
        "document_id": value.document_id,
        "collection": value.collection_id,
        "title": value.title,
        "extraction_sha256": value.extraction_sha256,
        "byte_start": value.byte_start,
        "byte_end": value.byte_end,
        "quote": value.quote,
        "page": value.page or None,
        "location": value.location or None,
    }


def passage(value: agents_pb2.Passage) -> dict[str, Json]:
    """A passage that was retrieved for a run."""
    return {
        "document_id": value.document_id,
        "collection": value.collection_id,
        "title": value.title,
        "chunk_id": value.chunk_id,
        "text": value.text,
        "extraction_sha256": value.extraction_sha256,
        "byte_start": value.byte_start,
        "byte_end": value.byte_end,
        "page": value.page or None,
        "location": value.location or None,
        "score": value.score,
    }


def agent_result(value: results_pb2.AgentResult) -> dict[str, Json] | None:
    """The typed result of the agent that ran; null when it has none."""
    kind = value.WhichOneof("result")
    return None if kind is None else message(getattr(value, kind))


def run_result(value: agents_pb2.RunResult) -> dict[str, Json]:
    """A whole answer."""
    return {
        "run_id": value.run_id,
        "agent": value.agent_id,
        "answer_mode": enum_name(agents_pb2.AnswerMode.DESCRIPTOR, value.answer_mode),
        "text": value.text,
        "citations": [citation(item) for item in value.citations],
        "result": agent_result(value.result),
        "usage": message(value.usage),
        "degraded": [message(item) for item in value.degradations],
        "session_id": value.session_id or None,
        "events_url": events_url(value.run_id),
    }


def events_url(run_id: str) -> str:
    """Where the events of a run can be followed."""
    return f"/api/v1/runs/{run_id}/events"


def run_error(value: agents_pb2.RunError) -> dict[str, Json]:
    """Why a run failed."""
    return {"reason": value.reason, "message": value.message, "code": value.code}


def run_event(value: agents_pb2.RunAgentResponse) -> dict[str, Json]:
    """An event: what it has under its own name, besides run, sequence and time."""
    name = value.WhichOneof("event")
    result: dict[str, Json] = {
        "run_id": value.run_id,
        "sequence": value.sequence,
        "event_time": _optional_time(value, "event_time"),
        "type": name,
    }
    if name is not None:
        result[name] = message(getattr(value, name))
    return result


def run_record(value: session_pb2.Run) -> dict[str, Json]:
    """How a recorded run stands, without its answer."""
    return {
        "run_id": value.run_id,
        "agent": value.agent_id,
        "session_id": value.session_id or None,
        "state": enum_name(session_pb2.RunState.DESCRIPTOR, value.state),
        "created": _optional_time(value, "create_time"),
        "ended": _optional_time(value, "end_time"),
        "last_sequence": value.last_sequence,
        "events_url": events_url(value.run_id),
    }


def workflow(value: workflow_pb2.Workflow) -> dict[str, Json]:
    """A workflow; its steps have the form in which they are given."""
    return {
        "id": value.workflow_id,
        "title": value.title or value.workflow_id,
        "description": value.description,
        "steps": [_given(step) for step in value.steps],
        "built_in": value.built_in,
        "revision": value.revision,
        "created": _optional_time(value, "create_time"),
        "updated": _optional_time(value, "update_time"),
    }


def _given(value: Message) -> dict[str, Json]:
    """What a message says, and nothing that it leaves open: can be sent back as it is."""
    return {
        field_name(field): _repeated(field, part) if field.is_repeated else _single(field, part)
        for field, part in value.ListFields()
    }


def replay(outcome: agents_pb2.ReplayOutcome, ended: agents_pb2.RunEnded | None) -> dict[str, Json]:
    """How a repeated run compares with the recorded one, and how it ended where it got so far."""
    difference = outcome.difference
    parted = {
        "kind": difference.kind,
        "position": difference.position,
        "path": difference.path,
        "recorded": difference.recorded,
        "repeated": difference.repeated,
    }
    return {
        "identical": outcome.identical,
        "difference": parted if outcome.HasField("difference") else None,
        "ended": None if ended is None else _ended(ended),
    }


def _ended(value: agents_pb2.RunEnded) -> dict[str, Json]:
    return {
        "outcome": enum_name(agents_pb2.RunOutcome.DESCRIPTOR, value.outcome),
        "result": run_result(value.result) if value.HasField("result") else None,
        "error": run_error(value.error) if value.HasField("error") else None,
    }


def _started(value: agents_pb2.RunStarted) -> dict[str, Json]:
    return {
        "agent": value.agent_id,
        "session_id": value.session_id or None,
        "collections": list(value.collection_ids),
        "recorded": value.recorded,
    }


def receipt(value: vector_pb2.DeletionReceipt) -> dict[str, Json]:
    """Proof of a delete: what is left of it."""
    return {
        "resource": value.resource,
        "state": enum_name(vector_pb2.DeletionState.DESCRIPTOR, value.state),
        "deleted": {
            "documents": value.deleted_documents,
            "chunks": value.deleted_chunks,
            "evaluations": value.deleted_evaluations,
        },
        "left": {
            "record_documents": value.record_documents,
            "record_chunks": value.record_chunks,
            "record_evaluations": value.record_evaluations,
            "record_originals": value.record_originals,
            "lexical_entries": value.lexical_entries,
            "vector_entries": value.vector_entries,
            "files": value.files,
        },
        "tombstone_id": value.tombstone_id or None,
        "deleted_at": _optional_time(value, "delete_time"),
        "purged_at": _optional_time(value, "purge_time"),
    }


def evaluation(value: vector_pb2.Evaluation) -> dict[str, Json]:
    """What an evaluation measured in sum."""
    return {
        "id": value.evaluation_id,
        "collection": value.collection_id,
        "label": value.label,
        "subject": value.subject or None,
        "golden_sha256": value.golden_sha256,
        "queries": value.queries,
        "judgements": value.judgements,
        "embedding_model": value.embedding_model,
        "dimension": value.dimension,
        "index_generation": value.index_generation,
        "documents": value.documents,
        "chunks": value.chunks,
        "pending_vectors": value.pending_vectors,
        "cutoffs": list(value.cutoffs),
        "settings": [setting_report(item) for item in value.settings],
        "comparisons": [message(item) for item in value.comparisons],
        "created": _optional_time(value, "create_time"),
        "elapsed_seconds": _exact_seconds(value.elapsed),
    }


def setting_report(value: vector_pb2.SettingReport) -> dict[str, Json]:
    """What was measured with one setting: the setting, its metrics by name, and how long a search took."""
    setting = value.setting
    return {
        "name": setting.name,
        "mode": enum_name(vector_pb2.SearchMode.DESCRIPTOR, setting.mode),
        "top_k": setting.top_k,
        "similarity_threshold": setting.similarity_threshold,
        "filter": _filter(setting.filter) if setting.HasField("filter") else None,
        "metrics": {
            item.metric: {"mean": item.mean, "low": item.low, "high": item.high, "queries": item.queries}
            for item in value.metrics
        },
        "latency_seconds": {
            "p50": _exact_seconds(value.latency_p50),
            "p95": _exact_seconds(value.latency_p95),
            "max": _exact_seconds(value.latency_max),
        },
    }


def _filter(value: vector_pb2.Filter) -> dict[str, Json]:
    """A condition as requests write it."""
    shown: dict[str, Json] = {
        "document_ids": list(value.document_ids),
        "external_ids": list(value.external_ids),
        "media_types": list(value.media_types),
        "created_from": _optional_time(value, "min_create_time"),
        "created_before": _optional_time(value, "max_create_time"),
        "metadata": struct(value.metadata),
    }
    return {name: item for name, item in shown.items() if item}


def evaluated_query(value: vector_pb2.EvaluatedQuery) -> dict[str, Json]:
    """What was measured of one query, an outcome for each setting."""
    return {
        "id": value.query_id,
        "query": value.query,
        "outcomes": [query_outcome(item) for item in value.outcomes],
    }


def query_outcome(value: vector_pb2.QueryOutcome) -> dict[str, Json]:
    """What was measured of one query with one setting."""
    return {
        "metrics": dict(sorted(value.metrics.items())),
        "first_rank": value.first_rank or None,
        "hits": value.hits,
        "missed": list(value.missed),
        "elapsed_seconds": _exact_seconds(value.elapsed),
    }


def _exact_seconds(value: duration_pb2.Duration) -> float:
    """Seconds to the microsecond: a search may take less than one thousandth."""
    return value.ToMicroseconds() / 1_000_000


def index_fault(value: vector_pb2.IndexFault) -> dict[str, Json]:
    """A difference between record, indexes and files."""
    return {
        "kind": enum_name(vector_pb2.IndexFaultKind.DESCRIPTOR, value.kind),
        "message": value.message,
        "collection": value.collection_id or None,
        "document_id": value.document_id or None,
        "tenant_id": value.tenant_id or None,
        "chunks": value.chunks,
        "remedy": enum_name(vector_pb2.IndexRemedy.DESCRIPTOR, value.remedy),
        "mended": value.mended,
    }


def purge(value: vector_pb2.PurgeDeletedResponse) -> dict[str, Json]:
    """What a purge did."""
    return {
        "purged_chunks": value.purged_chunks,
        "record_bytes": {"before": value.record_bytes_before, "after": value.record_bytes_after},
        "removed_files": value.removed_files,
        "index_files_renewed": value.index_files_renewed,
        "purged_at": _optional_time(value, "purge_time"),
    }


def page(name: str, items: Iterable[Json], next_page_token: str) -> dict[str, Json]:
    """A page of a list."""
    return {name: list(items), "next_page_token": next_page_token or None}


# Messages with a form of their own wherever they stand.
OWN_FORMS: Mapping[str, Callable[[Any], dict[str, Json]]] = {
    "meldrag.agents.v1.AgentResult": lambda value: agent_result(value) or {},
    "meldrag.agents.v1.Citation": citation,
    "meldrag.agents.v1.Passage": passage,
    "meldrag.agents.v1.RouteTaskResponse": route,
    "meldrag.agents.v1.RunEnded": _ended,
    "meldrag.agents.v1.RunError": run_error,
    "meldrag.agents.v1.RunResult": run_result,
    "meldrag.agents.v1.RunStarted": _started,
    **dict.fromkeys(
        (
            f"meldrag.agents.v1.{name}"
            for name in ("WorkflowStep", "StepBinding", "StepCondition", "ApprovalStep")
        ),
        _given,
    ),
    "meldrag.vector.v1.Document": document,
}
