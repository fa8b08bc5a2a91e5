"""What answers hold: resources, each with the rendering that makes it and the fields behind its members."""

from __future__ import annotations

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.openapi.reasons import REASONS
from services.gateway.openapi.schema import (
    Components,
    Maybe,
    Schema,
    Shape,
    Source,
    array,
    enumeration,
    nullable,
    record,
    reference,
)

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES_OR_NO: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}
_URL: Schema = {"type": "string", "format": "uri-reference"}


def _same(names: str) -> dict[str, str]:
    """Members that are called as their fields are."""
    return {name: name for name in names.split()}


_PLACE = {"page": Maybe("page"), "location": Maybe("location")}
_RUN_RECORD: dict[str, Source] = {
    "run_id": "run_id",
    "agent": "agent_id",
    "session_id": Maybe("session_id"),
    "state": "state",
    "created": Maybe("create_time"),
    "ended": Maybe("end_time"),
    "last_sequence": "last_sequence",
    "events_url": _URL,
}
_HTML = nullable(TEXT) | {
    "description": "With render=html: the text as HTML that is safe to show. Null where the text is shown as "
    "it stands: it is quoted, or too large."
}
_RUN_RESULT: dict[str, Source] = {
    "run_id": "run_id",
    "agent": "agent_id",
    "answer_mode": "answer_mode",
    "text": "text",
    "html": _HTML,
    "citations": "citations",
    "result": Maybe("result"),
    "usage": "usage",
    "degraded": "degradations",
    "session_id": Maybe("session_id"),
    "events_url": _URL,
}

# What a caller, a user or a key may do; what everybody may is not said.
SCOPES = array(
    {
        "type": "string",
        "enum": [
            name.lower()
            for name in enumeration(options_pb2.Scope.DESCRIPTOR)["enum"]
            if name != options_pb2.Scope.Name(options_pb2.SCOPE_PUBLIC).removeprefix("SCOPE_")
        ],
    }
)
_ROLE = nullable(enumeration(vector_pb2.CollectionRole.DESCRIPTOR))

SHAPES = (
    Shape(
        "Collection",
        vector_pb2.Collection.DESCRIPTOR,
        rendering.collection,
        {
            "id": "collection_id",
            "name": "collection_id",
            **_same("description embedding_model dimension documents chunks vectors"),
            "created": Maybe("create_time"),
            **_same("owner role"),
            "access": array({"anyOf": [record({who: TEXT, "role": _ROLE}) for who in ("user", "group")]}),
            **{
                name: Maybe(name)
                for name in ("embedding_revision", "embedding_notice", "reembedding", "previous_embedding")
            },
        },
    ),
    Shape(
        "Reembedding",
        vector_pb2.Reembedding.DESCRIPTOR,
        rendering.reembedding,
        {
            **_same("embedding_model dimension"),
            "embedding_revision": Maybe("embedding_revision"),
            **_same("stage chunks vectors refused_chunks"),
            "began": Maybe("begin_time"),
            "reverts": "reverts",
        },
    ),
    Shape(
        "PreviousEmbedding",
        vector_pb2.PreviousEmbedding.DESCRIPTOR,
        rendering.previous_embedding,
        {
            **_same("embedding_model dimension"),
            "embedding_revision": Maybe("embedding_revision"),
            "vectors": "vectors",
            "expires": Maybe("expire_time"),
        },
    ),
    Shape(
        "ReembedStep",
        vector_pb2.ReembedCollectionResponse.DESCRIPTOR,
        rendering.reembed_step,
        {"reembedding": "reembedding", "collection": Maybe("collection")},
    ),
    Shape(
        "Document",
        vector_pb2.Document.DESCRIPTOR,
        rendering.document,
        {
            "id": "document_id",
            "collection": "collection_id",
            **_same("external_id title filename state"),
            "error": Maybe("error"),
            **_same("bytes chunks vectors media_type content_sha256 has_original extraction_sha256"),
            "text_bytes": "text_bytes",
            "pages": Maybe("pages"),
            **_same("warnings metadata"),
            "created": Maybe("create_time"),
            "queue": nullable(
                record(
                    {
                        "position": WHOLE | {"description": "Turns until its own: 1 is the next."},
                        "remaining_seconds": nullable(
                            {"type": "number", "description": "Until this step is done; null while unknown."}
                        ),
                    },
                    "Where it waits for its turn, to be read or for vectors.",
                )
            ),
            "reprocessing": "reprocessing",
            "reprocess_error": Maybe("reprocess_error"),
        },
    ),
    Shape(
        "Hit",
        vector_pb2.Hit.DESCRIPTOR,
        rendering.hit,
        {
            **_same("document_id external_id title chunk_id"),
            "collection": "collection_id",
            "text": "text",
            "byte_start": "span.byte_start",
            "byte_end": "span.byte_end",
            "extraction_sha256": "extraction_sha256",
            **_PLACE,
            **_same("headings score lexical_score vector_score late_interaction_score"),
        },
    ),
    Shape(
        "CitationVerdict",
        vector_pb2.CitationVerdict.DESCRIPTOR,
        rendering.verdict,
        {**_same("verified fault"), **_PLACE},
    ),
    Shape(
        "DeletionReceipt",
        vector_pb2.DeletionReceipt.DESCRIPTOR,
        rendering.receipt,
        {
            **_same("resource state"),
            "deleted": record({"documents": WHOLE, "chunks": WHOLE, "evaluations": WHOLE}),
            "left": record(
                dict.fromkeys(
                    (
                        "record_documents",
                        "record_chunks",
                        "record_evaluations",
                        "record_originals",
                        "lexical_entries",
                        "vector_entries",
                        "files",
                    ),
                    WHOLE,
                )
            ),
            "tombstone_id": Maybe("tombstone_id"),
            "deleted_at": Maybe("delete_time"),
            "purged_at": Maybe("purge_time"),
        },
    ),
    Shape(
        "Evaluation",
        vector_pb2.Evaluation.DESCRIPTOR,
        rendering.evaluation,
        {
            "id": "evaluation_id",
            "collection": "collection_id",
            "label": "label",
            "subject": Maybe("subject"),
            **_same("golden_sha256 queries judgements embedding_model dimension index_generation"),
            **_same("documents chunks pending_vectors cutoffs settings comparisons"),
            "created": Maybe("create_time"),
            "elapsed_seconds": NUMBER,
        },
    ),
    Shape(
        "SettingReport",
        vector_pb2.SettingReport.DESCRIPTOR,
        rendering.setting_report,
        {
            "name": "setting.name",
            "mode": Maybe("setting.mode"),
            "top_k": "setting.top_k",
            "similarity_threshold": "setting.similarity_threshold",
            "filter": nullable(ANYTHING),
            "metrics": {
                "type": "object",
                "additionalProperties": record(
                    {**dict.fromkeys(("mean", "low", "high"), NUMBER), "queries": WHOLE}
                ),
            },
            "latency_seconds": record(dict.fromkeys(("p50", "p95", "max"), NUMBER)),
        },
    ),
    Shape(
        "EvaluatedQuery",
        vector_pb2.EvaluatedQuery.DESCRIPTOR,
        rendering.evaluated_query,
        {"id": "query_id", **_same("query outcomes")},
    ),
    Shape(
        "QueryOutcome",
        vector_pb2.QueryOutcome.DESCRIPTOR,
        rendering.query_outcome,
        {
            "metrics": {"type": "object", "additionalProperties": NUMBER},
            "first_rank": Maybe("first_rank"),
            **_same("hits missed"),
            "elapsed_seconds": NUMBER,
        },
    ),
    Shape(
        "IndexFault",
        vector_pb2.IndexFault.DESCRIPTOR,
        rendering.index_fault,
        {
            **_same("kind message chunks remedy mended"),
            "collection": Maybe("collection_id"),
            "document_id": Maybe("document_id"),
            "tenant_id": Maybe("tenant_id"),
        },
    ),
    Shape(
        "Purge",
        vector_pb2.PurgeDeletedResponse.DESCRIPTOR,
        rendering.purge,
        {
            **_same("purged_chunks removed_files index_files_renewed"),
            "record_bytes": record({"before": WHOLE, "after": WHOLE}),
            "purged_at": Maybe("purge_time"),
        },
    ),
    Shape(
        "Session",
        session_pb2.Session.DESCRIPTOR,
        rendering.session,
        {
            "id": "session_id",
            "title": "title",
            "collections": "collection_ids",
            **_same("messages metadata"),
            "created": Maybe("create_time"),
            "updated": Maybe("update_time"),
            "expires": Maybe("expire_time"),
        },
    ),
    Shape(
        "SessionMatch",
        session_pb2.SessionMatch.DESCRIPTOR,
        rendering.session_match,
        {"session": "session", "message": Maybe("message"), "snippet": "snippet"},
    ),
    Shape(
        "MatchedMessage",
        session_pb2.MatchedMessage.DESCRIPTOR,
        rendering.matched_message,
        {
            "id": "message_id",
            **_same("sequence role"),
            "agent": Maybe("agent_id"),
            "created": Maybe("create_time"),
        },
    ),
    Shape(
        "User",
        identity_pb2.User.DESCRIPTOR,
        rendering.user,
        {
            "id": "user_id",
            **_same("name role groups disabled"),
            "tenant": "tenant_id",
            "issuer": Maybe("issuer"),
            "created": Maybe("create_time"),
            "updated": Maybe("update_time"),
        },
    ),
    Shape(
        "ApiKey",
        identity_pb2.ApiKey.DESCRIPTOR,
        rendering.api_key,
        {
            "id": "api_key_id",
            "user": "user_id",
            **_same("label prefix role"),
            "scopes": SCOPES,
            "created": Maybe("create_time"),
            "last_used": Maybe("last_use_time"),
            "expires": Maybe("expire_time"),
        },
    ),
    Shape(
        "EmbeddingModel",
        vector_pb2.EmbeddingModel.DESCRIPTOR,
        rendering.embedding_model,
        {**_same("name dimension configured"), "revision": Maybe("revision")},
    ),
    Shape(
        "Quota",
        identity_pb2.Quota.DESCRIPTOR,
        rendering.quota,
        {
            "unit": "unit",
            "limit": Maybe("limit"),
            "used": Maybe("used"),
            "reset": Maybe("reset_time"),
        },
    ),
    Shape(
        "Webhook",
        webhook_pb2.Webhook.DESCRIPTOR,
        rendering.webhook,
        {
            "id": "webhook_id",
            **_same("url label event_types include_answer enabled"),
            "disabled_reason": Maybe("disabled_reason"),
            "failing_since": Maybe("failing_time"),
            "dropped_messages": "dropped_messages",
            "previous_secret_expires": Maybe("previous_secret_expire_time"),
            "created": Maybe("create_time"),
            "updated": Maybe("update_time"),
        },
    ),
    Shape(
        "WebhookDelivery",
        webhook_pb2.WebhookDelivery.DESCRIPTOR,
        rendering.webhook_delivery,
        {
            "id": "message_id",
            "webhook": "webhook_id",
            **_same("event_type state attempts"),
            "last_status": Maybe("last_status"),
            "last_error": Maybe("last_error"),
            "event_time": Maybe("event_time"),
            "last_attempt": Maybe("last_attempt_time"),
            "next_attempt": Maybe("next_attempt_time"),
        },
    ),
    Shape(
        "SessionMessage",
        session_pb2.Message.DESCRIPTOR,
        rendering.session_message,
        {
            "id": "message_id",
            **_same("sequence role text"),
            "html": _HTML,
            "agent": Maybe("agent_id"),
            "run_id": Maybe("run_id"),
            "attributes": "attributes",
            "created": Maybe("create_time"),
        },
        asked=("html",),
    ),
    Shape(
        "Attachment",
        session_pb2.Attachment.DESCRIPTOR,
        rendering.attachment,
        {
            "id": "attachment_id",
            "session_id": Maybe("session_id"),
            "run_id": Maybe("run_id"),
            **_same("filename media_type bytes sha256"),
            "created": Maybe("create_time"),
            "expires": Maybe("expire_time"),
        },
    ),
    Shape("RunRecord", session_pb2.Run.DESCRIPTOR, rendering.run_record, _RUN_RECORD),
    Shape(
        "Agent",
        agents_pb2.Agent.DESCRIPTOR,
        rendering.agent,
        {
            "id": "agent_id",
            "name": "display_name",
            **_same("purpose input_schema result_schema tools examples passes_tools"),
        },
    ),
    Shape(
        "Route",
        agents_pb2.RouteTaskResponse.DESCRIPTOR,
        rendering.route,
        {
            "agent": "agent_id",
            **_same("confidence reasons"),
            "alternatives": array(record({"agent": TEXT, "confidence": {"type": "number"}})),
        },
    ),
    Shape(
        "Citation",
        agents_pb2.Citation.DESCRIPTOR,
        rendering.citation,
        {
            **_same("number document_id"),
            "collection": "collection_id",
            **_same("title extraction_sha256 byte_start byte_end quote"),
            **_PLACE,
        },
    ),
    Shape(
        "Passage",
        agents_pb2.Passage.DESCRIPTOR,
        rendering.passage,
        {
            "document_id": "document_id",
            "collection": "collection_id",
            **_same("title chunk_id text extraction_sha256 byte_start byte_end"),
            **_PLACE,
            "score": "score",
        },
    ),
    Shape("RunResult", agents_pb2.RunResult.DESCRIPTOR, rendering.run_result, _RUN_RESULT, asked=("html",)),
    Shape(
        "AgentResult",
        results_pb2.AgentResult.DESCRIPTOR,
        lambda value: rendering.agent_result(value) or {},
        union="result",
    ),
    Shape(
        "RunError",
        agents_pb2.RunError.DESCRIPTOR,
        rendering.run_error,
        _same("reason message code"),
    ),
    Shape(
        "RunStarted",
        agents_pb2.RunStarted.DESCRIPTOR,
        rendering.message,
        {
            "agent": "agent_id",
            "session_id": Maybe("session_id"),
            "collections": "collection_ids",
            "recorded": "recorded",
        },
    ),
    Shape(
        "RunEnded",
        agents_pb2.RunEnded.DESCRIPTOR,
        rendering.message,
        {"outcome": "outcome", "result": Maybe("result"), "error": Maybe("error")},
    ),
    Shape(
        "RunEvent",
        agents_pb2.RunAgentResponse.DESCRIPTOR,
        rendering.run_event,
        {
            **_same("run_id sequence"),
            "event_time": Maybe("event_time"),
            "type": nullable(TEXT),
        },
        variants="event",
    ),
    Shape(
        "Workflow",
        workflow_pb2.Workflow.DESCRIPTOR,
        rendering.workflow,
        {
            "id": "workflow_id",
            **_same("title description steps built_in revision"),
            "created": Maybe("create_time"),
            "updated": Maybe("update_time"),
        },
    ),
    *(
        Shape(name, workflow_pb2.DESCRIPTOR.message_types_by_name[name], rendering.message, given=True)
        for name in ("WorkflowStep", "StepBinding", "StepCondition", "ApprovalStep")
    ),
)


def components() -> Components:
    """The components that several answers share, and the place for all others."""
    made = Components(SHAPES)
    made.add("Problem", _problem())
    for shape in SHAPES:
        made.shape(shape.name)
    made.message(identity_pb2.AuditEntry.DESCRIPTOR)
    made.add("NewApiKeySecret", _with_secret(made))
    made.add("NewWebhookSecret", _webhook_with_secret(made))
    made.add("Run", _run(made))
    made.add("WorkflowEvent", _workflow_event(made))
    made.add("Replay", _replay(made))
    made.add("SearchResult", _search_result(made))
    made.add("IngestStage", _ingest_stage(made))
    made.add("ImportResult", _import_result())
    made.add("ImportSum", _import_sum())
    made.add(
        "EvaluationProgress",
        record({"done": WHOLE, "total": WHOLE}, "Queries that were asked, of how many."),
    )
    made.add("IndexReport", _index_report())
    made.add("IndexPage", _index_page())
    made.add("Backup", _backup())
    made.add("BackupStep", _backup_step())
    made.add("Restored", _restored())
    made.add("Readiness", _readiness())
    made.add("Insights", _insights())
    made.add("System", _system())
    return made


def _problem() -> Schema:
    return record(
        {
            "type": TEXT | {"description": "urn:meldrag:problem: and the reason in small letters."},
            "title": TEXT,
            "status": WHOLE,
            "detail": TEXT | {"description": "What is wrong, for people."},
            "reason": TEXT
            | {
                "pattern": "^[A-Z][A-Z0-9_]*$",
                "description": "What is wrong, for programs. Later releases may know more than these.",
                "examples": sorted(REASONS),
            },
            "request_id": TEXT | {"description": "Finds the request in the log."},
            "metadata": {
                "type": "object",
                "additionalProperties": TEXT,
                "description": "The values that the detail speaks of.",
            },
            "retry_after": {"type": "number", "description": "Seconds after which a new try makes sense."},
        },
        "Why a request was refused or failed (RFC 9457).",
        optional=("metadata", "retry_after"),
    ) | {"x-reasons": dict(sorted(REASONS.items()))}


def _with_secret(made: Components) -> Schema:
    secret = TEXT | {"description": "What the program shows; it is told this once and kept nowhere."}
    return record({**made.schemas["ApiKey"]["properties"], "secret": secret}, "A new key with its secret.")


def _webhook_with_secret(made: Components) -> Schema:
    secret = TEXT | {
        "description": 'What signatures are checked with: "whsec_" and base64; it is told this once.'
    }
    return record({**made.schemas["Webhook"]["properties"], "secret": secret}, "A webhook with its secret.")


def _run(made: Components) -> Schema:
    # Until a run has its answer, what belongs to that is null or empty.
    answer = dict(made.schemas["RunResult"]["properties"])
    del answer["html"]
    for name in ("answer_mode", "text", "usage"):
        answer[name] = nullable(answer[name])
    members = {**answer, **made.schemas["RunRecord"]["properties"]}
    members["error"] = nullable(reference("RunError"))
    return record(members, "A recorded run: how it stands, and its answer once it has one.")


def _workflow_event(made: Components) -> Schema:
    event = made.schemas["RunEvent"]
    members = {**event["properties"], "step_id": nullable(TEXT)}
    optional = tuple(name for name in event["properties"] if name not in event["required"])
    return record(members, "An event of a workflow, or of one of its steps.", optional)


def _replay(made: Components) -> Schema:
    difference = record({**dict.fromkeys(("kind", "path", "recorded", "repeated"), TEXT), "position": WHOLE})
    return record(
        {
            "run_id": TEXT,
            "identical": YES_OR_NO,
            "difference": nullable(difference),
            "ended": nullable(made.shape("RunEnded")),
        },
        "How a repeated run compares with the recorded one.",
    )


def _search_result(made: Components) -> Schema:
    mode = vector_pb2.SearchResponse.DESCRIPTOR.fields_by_name["mode"]
    return record(
        {
            "hits": array(made.shape("Hit")),
            "mode": made.field(mode),
            "degraded_reason": nullable(TEXT),
            "pending_vectors": WHOLE,
            "dropped": array(made.message(vector_pb2.DroppedCandidate.DESCRIPTOR)),
        },
        "Passages, best first; with explain the dropped candidates too.",
        optional=("dropped",),
    )


def _ingest_stage(made: Components) -> Schema:
    return record(
        {
            "stage": TEXT,
            "document": made.shape("Document"),
            "existing": YES_OR_NO,
            "elapsed_seconds": {"type": "number"},
        },
        "A stage that a document has reached: the data of an event.",
    )


def _import_result() -> Schema:
    return record(
        {
            "index": WHOLE,
            "id": TEXT,
            "document_id": nullable(TEXT),
            "state": nullable(TEXT),
            "chunks": nullable(WHOLE),
            "existing": YES_OR_NO,
            "error": nullable(record({"reason": TEXT, "message": TEXT})),
        },
        "What became of one line.",
    )


def _import_sum() -> Schema:
    return record(
        {
            "done": YES_OR_NO | {"description": "Whether every line was read."},
            "lines": WHOLE,
            "documents": WHOLE,
            "existing": WHOLE,
            "failed": WHOLE,
            "error": nullable(reference("Problem")),
        },
        "What became of all lines: the last line of the answer.",
    )


def _index_report() -> Schema:
    return record(
        {
            "checked_chunks": WHOLE,
            "total_chunks": WHOLE,
            "counts": {"type": "object", "additionalProperties": WHOLE},
            "unmended": WHOLE,
            "faults": array(reference("IndexFault")),
            "unpurged_chunks": WHOLE,
        },
        "What a check found or a repair mended; as the last event of a stream without the faults.",
        optional=("faults",),
    )


def _index_page() -> Schema:
    return record(
        {
            "step": TEXT,
            "checked_chunks": WHOLE,
            "total_chunks": WHOLE,
            "faults": array(reference("IndexFault")),
        },
        "A page of a check or a repair: the data of an event.",
    )


def _backup() -> Schema:
    counts = {"type": "object", "additionalProperties": WHOLE}
    part = record({"name": TEXT, "bytes": WHOLE, "sha256": TEXT, "counts": counts})
    return record(
        {
            "created": TEXT | {"format": "date-time"},
            "parts": array(part),
            "queries": WHOLE | {"description": "Questions that a restored house has to answer as before."},
            "conversations": WHOLE | {"description": "Conversations that have to be as they were."},
        },
        "A backup that is whole.",
    )


def _backup_step() -> Schema:
    return record(
        {
            "stage": TEXT | {"enum": ["verifying", "documents", "sessions", "comparing"]},
            "done": WHOLE,
            "total": WHOLE | {"description": "Bytes; 0 where nobody knows."},
        },
        "How far the check or the restore of a backup is.",
    )


def _restored() -> Schema:
    there = {"type": "object", "additionalProperties": WHOLE}
    return record(
        {"backup": reference("Backup"), "there": there}, "What was restored, and what is there now."
    )


def _insights() -> Schema:
    number = nullable({"type": "number"})
    figures = {
        **dict.fromkeys(("runs", "succeeded", "failed", "cancelled", "running"), WHOLE),
        "success_rate": number | {"description": "Of those that succeeded or failed; null without any."},
        "median_seconds": number | {"description": "Of those that succeeded."},
        "p95_seconds": number,
        **dict.fromkeys(
            ("input_tokens", "output_tokens"),
            nullable(WHOLE) | {"description": "Of models, in sum; null where no run has said it."},
        ),
        "cost_usd": number | {"description": "Of priced_runs, in sum; null where no price is known."},
        "measured_runs": WHOLE | {"description": "Runs that have said what they used."},
        "model_runs": WHOLE | {"description": "Runs of these that asked a model."},
        "priced_runs": WHOLE | {"description": "Runs of these whose cost is known."},
    }
    failure = record({"run_id": TEXT, "agent": TEXT, "session_id": nullable(TEXT), "created": TEXT})
    return record(
        {
            **dict.fromkeys(("period", "since", "until"), TEXT),
            "complete": YES_OR_NO | {"description": "False where there are more runs than are looked at."},
            **figures,
            "sessions": WHOLE | {"description": "Conversations that the runs belong to."},
            "agents": array(record({"agent": TEXT, **figures})),
            "spans": array(record({"until": TEXT, "runs": WHOLE, "failed": WHOLE})),
            "failures": array(failure),
        },
        "What the record tells about the caller's runs, steps of workflows not counted.",
    )


def _system() -> Schema:
    error = record({"method": TEXT, "route": TEXT, "status": WHOLE, "count": WHOLE})
    names = ("interface", "contracts_sha256", "python", "grpc", "flask")
    requests = record({**dict.fromkeys(("answered", "refused", "failed"), WHOLE), "errors": array(error)})
    return record(
        {"versions": record(dict.fromkeys(names, TEXT)), "login": YES_OR_NO, "requests": nullable(requests)},
        "What runs here; requests since the gateway started, null for who may not administer.",
    )


def _readiness() -> Schema:
    service = record({"status": TEXT, "dependencies": {"type": "object", "additionalProperties": TEXT}})
    return record(
        {
            "status": TEXT | {"enum": ["ready", "degraded", "unavailable"]},
            "services": {"type": "object", "additionalProperties": service},
            "down": array(TEXT),
            "degraded": array(TEXT),
            "live": YES_OR_NO,
        },
        "Which services and dependencies are there; who has not signed in is told of none.",
        optional=("live", "services"),
    )


def page(name: str, items: Schema) -> Schema:
    """A page of a list."""
    return record(
        {
            name: array(items),
            "next_page_token": nullable(TEXT) | {"description": "For the next page; null on the last one."},
        }
    )
