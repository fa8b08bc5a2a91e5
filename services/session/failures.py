"""The errors of this service, one constructor for each reason of its error_reason.proto."""

from __future__ import annotations

from services.chassis.errors import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnavailableError,
)

_SHOWN = 80


def invalid_field(field: str, value: object, message: str) -> InvalidArgumentError:
    """A field is missing, malformed or out of range. message: what it must be."""
    return InvalidArgumentError(
        f"{field} {message}", reason="INVALID_FIELD", metadata={"field": field, "value": str(value)[:_SHOWN]}
    )


def session_not_found(session_id: str) -> NotFoundError:
    """No such session for this tenant, or it has expired."""
    return NotFoundError(
        "no such session, or it has expired", reason="SESSION_NOT_FOUND", metadata={"session_id": session_id}
    )


def session_changed(session_id: str) -> AbortedError:
    """The session is not the one that the caller has read."""
    return AbortedError(
        "the session has changed since it was read",
        reason="SESSION_CHANGED",
        metadata={"session_id": session_id},
    )


def run_not_found(run_id: str) -> NotFoundError:
    """No such run for this tenant, or it has expired."""
    return NotFoundError(
        "no such run, or it has expired", reason="RUN_NOT_FOUND", metadata={"run_id": run_id}
    )


def request_id_reused(request_id: str) -> FailedPreconditionError:
    """The id names an earlier request with other content."""
    return FailedPreconditionError(
        "the id was used before with other content",
        reason="REQUEST_ID_REUSED",
        metadata={"request_id": request_id},
    )


def sequence_conflict(run_id: str, expected: int, sequence: int) -> AbortedError:
    """The events do not continue the record."""
    return AbortedError(
        f"event {sequence} does not continue the record, whose next event is {expected}",
        reason="SEQUENCE_CONFLICT",
        metadata={"run_id": run_id, "expected_sequence": str(expected), "sequence": str(sequence)},
    )


def run_ended(run_id: str) -> FailedPreconditionError:
    """Nothing can be added any more."""
    return FailedPreconditionError("the run has ended", reason="RUN_ENDED", metadata={"run_id": run_id})


def run_taken(run_id: str, owner: str) -> FailedPreconditionError:
    """Somebody else owns the run."""
    return FailedPreconditionError(
        "the run has another owner", reason="RUN_TAKEN", metadata={"run_id": run_id, "owner": owner}
    )


def journal_full(run_id: str, limit: int) -> ResourceExhaustedError:
    """The journal of a run would be too large."""
    return ResourceExhaustedError(
        f"the journal of a run has at most {limit} bytes",
        reason="JOURNAL_FULL",
        metadata={"run_id": run_id, "limit": str(limit)},
    )


def events_expired(run_id: str, first_sequence: int) -> OutOfRangeError:
    """The events asked for are no longer kept."""
    return OutOfRangeError(
        f"events before {first_sequence} are no longer kept",
        reason="EVENTS_EXPIRED",
        metadata={"run_id": run_id, "first_sequence": str(first_sequence)},
    )


def store_unavailable(why: str) -> UnavailableError:
    """The store does not answer; the outcome of a write is unknown."""
    return UnavailableError(f"the store is not available: {why}", reason="STORE_UNAVAILABLE")


def store_full() -> ResourceExhaustedError:
    """The store has no memory left for writes; nothing was written."""
    return ResourceExhaustedError("the store has no memory left", reason="STORE_FULL")


def invalid_page_token() -> InvalidArgumentError:
    """The token was not made by this service for this request."""
    return InvalidArgumentError("the page token does not belong to this request", reason="INVALID_PAGE_TOKEN")


def too_many_watchers(limit: int) -> ResourceExhaustedError:
    """As many runs are watched as this process serves at once."""
    return ResourceExhaustedError(
        "too many runs are being watched",
        reason="TOO_MANY_CALLS",
        metadata={"limit": str(limit)},
        retry_after=1.0,
    )


def import_running() -> AbortedError:
    """Another import holds the store, or came in between."""
    return AbortedError(
        "a snapshot is being imported; try again after it", reason="IMPORT_RUNNING", retry_after=5.0
    )


def snapshot_invalid(problem: str) -> InvalidArgumentError:
    """The snapshot is damaged, or holds what this service would not have written."""
    return InvalidArgumentError(
        f"the snapshot cannot be used: {problem}", reason="SNAPSHOT_INVALID", metadata={"problem": problem}
    )


def import_incomplete(kind: str, expected: int, counted: int) -> DataLossError:
    """The store does not hold what was loaded into it; what counts was not changed."""
    return DataLossError(
        f"the store holds {counted} {kind} of the {expected} that were loaded into it",
        reason="IMPORT_INCOMPLETE",
        metadata={"kind": kind, "expected": str(expected), "counted": str(counted)},
    )


def record_damaged(kind: str, entry_id: str, problem: str) -> DataLossError:
    """What the store has of a session, a run, a thing or a file is not as this service writes it."""
    return DataLossError(
        f"the {kind} {entry_id} in the store is damaged: {problem}",
        reason="RECORD_DAMAGED",
        metadata={"kind": kind, "id": entry_id, "problem": problem},
    )


def kind_unknown(kind: str) -> DataLossError:
    """The store has something that a snapshot would be without."""
    return DataLossError(
        f"the store has a {kind[:64]!r}, a kind that this release cannot copy; nothing is copied without it",
        reason="RECORD_DAMAGED",
        metadata={"kind": kind[:64], "id": "", "problem": "a kind that this release cannot copy"},
    )


def snapshot_newer(version: int, known: int) -> FailedPreconditionError:
    """The snapshot was made by a later release."""
    return FailedPreconditionError(
        f"the snapshot has schema {version}, and this release reads up to {known}",
        reason="SNAPSHOT_NEWER",
        metadata={"schema_version": str(version), "known": str(known)},
    )


def no_room_for_snapshot() -> ResourceExhaustedError:
    """The disk has no room for the file of a snapshot; nothing was changed."""
    return ResourceExhaustedError("no room on the disk for the snapshot", reason="STORAGE_FULL")


def item_exists(kind: str, name: str) -> AlreadyExistsError:
    """There is a thing of that kind and name."""
    return AlreadyExistsError(
        f"there is a {kind} of that name", reason="ITEM_EXISTS", metadata={"kind": kind, "name": name}
    )


def item_not_found(kind: str, name: str) -> NotFoundError:
    """No such thing of this tenant."""
    return NotFoundError(
        f"no {kind} of that name", reason="ITEM_NOT_FOUND", metadata={"kind": kind, "name": name}
    )


def item_changed(kind: str, name: str, revision: int) -> AbortedError:
    """The thing is not as the caller knows it. revision: the one that it has."""
    return AbortedError(
        f"the {kind} was changed meanwhile: its revision is {revision}",
        reason="ITEM_CHANGED",
        metadata={"kind": kind, "name": name, "revision": str(revision)},
    )


def too_many_items(kind: str, limit: int) -> ResourceExhaustedError:
    """There are as many of the kind as there may be."""
    return ResourceExhaustedError(
        f"there are {limit} of the kind {kind}; delete one first",
        reason="TOO_MANY_ITEMS",
        metadata={"kind": kind, "limit": str(limit)},
    )


def attachment_not_found(attachment_id: str) -> NotFoundError:
    """No such file of this tenant, or it has expired."""
    return NotFoundError(
        "no such attachment, or it has expired",
        reason="ATTACHMENT_NOT_FOUND",
        metadata={"attachment_id": attachment_id},
    )


def attachment_too_large(limit: int) -> ResourceExhaustedError:
    """The file has more bytes than one may have."""
    return ResourceExhaustedError(
        f"the file is larger than {limit} bytes",
        reason="ATTACHMENT_TOO_LARGE",
        metadata={"limit": str(limit), "unit": "bytes"},
    )


def attachments_full(limit: int) -> ResourceExhaustedError:
    """The tenant's files have as many bytes together as they may."""
    return ResourceExhaustedError(
        f"all files together may have {limit} bytes; delete some first",
        reason="STORAGE_FULL",
        metadata={"limit": str(limit)},
    )


def no_room_for_attachment() -> ResourceExhaustedError:
    """The disk has no room for the file; nothing was kept."""
    return ResourceExhaustedError("no room on the disk for the file", reason="STORAGE_FULL")


def checksum_mismatch(expected: str, found: str) -> DataLossError:
    """The bytes are not those that were declared."""
    return DataLossError(
        "the bytes are not those that were declared",
        reason="CHECKSUM_MISMATCH",
        metadata={"expected": expected, "found": found},
    )


def too_many_uploads(limit: int) -> ResourceExhaustedError:
    """As many files come in as this process takes at once."""
    return ResourceExhaustedError(
        "too many files are being received",
        reason="TOO_MANY_CALLS",
        metadata={"limit": str(limit)},
        retry_after=1.0,
    )
