"""The reasons that problem documents give, each with what it means or with the services that say it."""

from __future__ import annotations

from collections.abc import Mapping

from meldrag.agents.v1 import error_reason_pb2 as agents_reasons
from meldrag.session.v1 import error_reason_pb2 as session_reasons
from meldrag.vector.v1 import error_reason_pb2 as vector_reasons

# What the gateway itself finds.
GATEWAY: Mapping[str, str] = {
    "ATTACHMENT_TOO_LARGE": "The file is larger than an attachment may be.",
    "BACKUP_FAILED": "The backup could not be worked on.",
    "BACKUP_INVALID": "The archive is no backup, is not whole, was changed, or has another key.",
    "BACKUP_NEWER": "The backup was made by a newer release.",
    "BACKUP_NOT_ALLOWED": "Where nobody signs in, backups are for this machine alone.",
    "BACKUP_RUNNING": "A backup is being made, checked or restored already.",
    "BAD_REQUEST": "The request cannot be read.",
    "BODY_INCOMPLETE": "Fewer bytes came than were declared, or their framing is broken.",
    "BODY_TOO_LARGE": "The body is larger than this request may have.",
    "CLIENT_TOO_SLOW": "The body came too slowly.",
    "COLLECTIONS_NEEDED": "There are more collections than are searched at once; name some.",
    "CREDENTIAL_INVALID": "Authorization is not Bearer with a token or an API key.",
    "CREDENTIAL_MISSING": "Nobody is signed in; send an access token or an API key.",
    "DOCUMENT_FAILED": "The document could not be taken.",
    "DOCUMENT_TOO_LARGE": "The file is larger than a document may be.",
    "ETAG_MISMATCH": "The resource is not (any more) the one that If-Match names; read it again.",
    "EXTERNAL_LOGIN_REFUSED": "The identity provider lets nobody in, or its word does not hold.",
    "EXTERNAL_LOGIN_UNKNOWN": "This browser has not begun to sign in by the provider, or took too long.",
    "HOST_NOT_TRUSTED": "The Host header does not name this server.",
    "IDENTITY_PROVIDER_UNAVAILABLE": "The identity provider does not answer as it should.",
    "INTERNAL": "A defect; the log has it under the request id.",
    "INVALID_FIELD": "A field or parameter is missing, malformed or out of range; metadata.field names it.",
    "INVALID_FORM": "The multipart form cannot be read.",
    "INVALID_IDEMPOTENCY_KEY": "Idempotency-Key is not 1 to 128 printable ASCII characters.",
    "INVALID_JSON": "The body is not one JSON object, strictly read.",
    "INVALID_LAST_EVENT_ID": "Last-Event-ID is no id of an event of this run.",
    "INVALID_PATH": "The path holds control characters.",
    "INVALID_REQUEST_TIMEOUT": "Request-Timeout is no number of seconds above 0.",
    "LOGIN_OFF": "Nobody has to sign in here.",
    "MALFORMED_REQUEST": "The bytes are no HTTP request within the limits of its head.",
    "METHOD_NOT_ALLOWED": "The path has no such method; Allow lists those that it has.",
    "MODEL_EMBEDS": "The model makes embeddings; it does not chat.",
    "MODEL_NOT_FOUND": "There is no such model; GET /v1/models lists those that there are.",
    "NOT_FOUND": "There is no such path.",
    "NO_ANSWER": "A service ended its answer too early.",
    "ORIGIN_NOT_ALLOWED": "Pages of this origin may not call.",
    "PROFILER_BUSY": "A profile is being taken already.",
    "PROFILE_NOT_ALLOWED": "Where nobody signs in, profiles are for this machine alone.",
    "RANGE_NOT_SATISFIABLE": "The range lies beyond the end of the file.",
    "RESTORE_DIFFERS": "The restore went through, and the house answers otherwise than the backup says.",
    "RUN_CANCELLED": "The run was cancelled.",
    "RUN_FAILED": "The run failed.",
    "SESSION_UNAVAILABLE": "The run cannot be recorded now.",
    "SHUTTING_DOWN": "The process is stopping.",
    "SIGNED_OUT": "The session or API key that began a stream has ended; the stream ends with it.",
    "SNAPSHOT_UNUSABLE": "MELD_SNAPSHOT_KEY is not the same in the gateway and the services.",
    "STORAGE_FULL": "A disk is full.",
    "TOO_MANY_REQUESTS": "All threads are busy.",
    "TOO_MANY_STREAMS": "As many streams are open as may be.",
    "UNKNOWN_FIELD": "The request has a field or parameter that is not known; metadata.field names it.",
    "UNKNOWN_URL": "There is no such path below /v1.",
    "UNSUPPORTED_MEDIA_TYPE": "The Content-Type is not the one that is needed.",
    "UNSUPPORTED_PARAMETER": "A parameter of OpenAI's that no agent can heed; metadata.field names it.",
    "URL_NOT_FETCHED": "Nothing is fetched from elsewhere; send a picture as a data: URL.",
}

# What every service can say, and what the way to it can.
_CHASSIS: Mapping[str, str] = {
    "CANCELLED": "The call was given up.",
    "CLIENT_GONE": "The client closed the connection.",
    "DEADLINE": "The service ran out of the time that the request had.",
    "INVALID_MESSAGE": "The bytes of a call are no message of its method.",
    "MESSAGE_TOO_LARGE": "The request is larger than a service takes.",
    "METHOD_UNKNOWN": "The service does not know this call.",
    "METHOD_NOT_AVAILABLE": "The service has this call switched off.",
    "NOT_OF_THE_HOUSE": "This is of all tenants together; the caller administers another than the house's.",
    "PASS_EXPIRED": "A service does not believe the gateway any more; the clocks of the two differ.",
    "PASS_INVALID": "A service does not believe the gateway; JWT_SECRET_KEY is not the same in both.",
    "PASS_MISSING": "A service asks for a login, and the gateway does not.",
    "PASS_UNEXPECTED": "The gateway asks for a login, and a service does not.",
    "SCOPE_MISSING": "The caller may not do this; metadata.scope names the permission.",
    "TOO_MANY_CALLS": "The service has as many calls as it can have at once.",
    "TRANSPORT": "The connection to a service broke.",
    "UPSTREAM_DEADLINE": "A service did not answer in time.",
    "UPSTREAM_UNAVAILABLE": "A service cannot be reached.",
}


def _services() -> dict[str, str]:
    """The reasons of the contracts, with who says them."""
    found: dict[str, list[str]] = {}
    for service, module in (
        ("agents", agents_reasons),
        ("session", session_reasons),
        ("vector", vector_reasons),
    ):
        for value in module.DESCRIPTOR.enum_types_by_name["ErrorReason"].values:
            if value.number:
                found.setdefault(value.name.removeprefix("ERROR_REASON_"), []).append(service)
    return {
        reason: f"Said by {' and '.join(services)}; explained in the contract's error_reason.proto."
        for reason, services in found.items()
    }


REASONS: Mapping[str, str] = {**_services(), **_CHASSIS, **GATEWAY}
