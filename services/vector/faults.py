"""The errors of this service that more than one module raises; reasons as in error_reason.proto."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.chassis.errors import (
    AbortedError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from services.vector.embedding.ports import ModelName

_SHOWN = 100
_SHOWN_PROBLEMS = 10


class GoldenProblem(Protocol):
    """What is wrong with a golden set: the line, 0 when unknown, the query's id or nothing, and words."""

    @property
    def line(self) -> int:
        """In the owner's file."""
        ...

    @property
    def query_id(self) -> str:
        """Of the query."""
        ...

    @property
    def what(self) -> str:
        """For people."""
        ...


def invalid_field(field: str, value: object, rule: str) -> InvalidArgumentError:
    """INVALID_FIELD: `rule` says what the field must be."""
    return InvalidArgumentError(
        f"{field} {rule}", reason="INVALID_FIELD", metadata={"field": field, "value": str(value)[:_SHOWN]}
    )


def collection_not_found(collection_id: str) -> NotFoundError:
    """The same words whether it is missing or somebody else's."""
    return NotFoundError(
        f"there is no collection {collection_id[:_SHOWN]}",
        reason="COLLECTION_NOT_FOUND",
        metadata={"collection_id": collection_id[:_SHOWN]},
    )


def address_refused(host: str) -> PermissionDeniedError:
    """The host lies where this service does not go. Which address it has is not told."""
    return PermissionDeniedError(
        "nothing is fetched from there: the host is not on the public internet, and MELD_FETCH_ALLOW does not"
        " name it",
        reason="ADDRESS_REFUSED",
        metadata={"host": host[:_SHOWN]},
    )


def address_unknown(host: str) -> InvalidArgumentError:
    """The host has no address."""
    return InvalidArgumentError(
        "the host of the address is not known", reason="ADDRESS_UNKNOWN", metadata={"host": host[:_SHOWN]}
    )


def fetch_failed(host: str, cause: str) -> FailedPreconditionError:
    """There is no file to be had at the address. cause: for people, begins with a small letter."""
    return FailedPreconditionError(
        f"nothing could be fetched from {host[:_SHOWN]}: {cause}",
        reason="FETCH_FAILED",
        metadata={"host": host[:_SHOWN], "cause": cause},
    )


def access_denied(collection_id: str, needs: str) -> PermissionDeniedError:
    """The caller may read the collection, and not do this with it. needs: the role that may."""
    return PermissionDeniedError(
        f"this needs to be {needs} of the collection {collection_id[:_SHOWN]}",
        reason="COLLECTION_ACCESS_DENIED",
        metadata={"collection_id": collection_id[:_SHOWN], "needs": needs},
    )


def document_not_found(document_id: str) -> NotFoundError:
    """The same words whether it is missing or somebody else's."""
    return NotFoundError(
        f"there is no document {document_id[:_SHOWN]} in this collection",
        reason="DOCUMENT_NOT_FOUND",
        metadata={"document_id": document_id[:_SHOWN]},
    )


def deletion_not_found(tombstone_id: str) -> NotFoundError:
    """The same words whether it is missing or somebody else's."""
    return NotFoundError(
        f"there is no deletion {tombstone_id[:_SHOWN]}",
        reason="DELETION_NOT_FOUND",
        metadata={"tombstone_id": tombstone_id[:_SHOWN]},
    )


def request_id_reused(request_id: str) -> FailedPreconditionError:
    """The id of an earlier write came with other content."""
    return FailedPreconditionError(
        "this request id was used for another request",
        reason="REQUEST_ID_REUSED",
        metadata={"request_id": request_id},
    )


def document_busy(external_id: str, request_id: str = "") -> AbortedError:
    """Another call is writing the same document."""
    return AbortedError(
        "this document is being written by another call; try again after it",
        reason="DOCUMENT_BUSY",
        metadata={"external_id": external_id, "request_id": request_id},
        retry_after=1.0,
    )


def ingest_cancelled(document_id: str) -> AbortedError:
    """The document was taken back while it was on its way in."""
    return AbortedError(
        "this ingest was cancelled", reason="INGEST_CANCELLED", metadata={"document_id": document_id}
    )


def ingest_state(document_id: str, state: str, needs: str, remedy: str) -> FailedPreconditionError:
    """The document is in a state in which this cannot be done."""
    return FailedPreconditionError(
        f"the document is {state}; {remedy}",
        reason="INGEST_STATE",
        metadata={"document_id": document_id, "state": state, "needs": needs},
    )


def original_gone(document_id: str) -> FailedPreconditionError:
    """The bytes of a failed document are not kept."""
    return FailedPreconditionError(
        "the bytes of this document are not kept any more; send them again",
        reason="ORIGINAL_GONE",
        metadata={"document_id": document_id},
    )


def original_not_kept(document_id: str) -> NotFoundError:
    """The document is there, and the bytes that it was made of are not."""
    return NotFoundError(
        "of this document only the text is kept, and not the file",
        reason="ORIGINAL_NOT_KEPT",
        metadata={"document_id": document_id},
    )


def original_damaged(document_id: str) -> DataLossError:
    """The bytes are not those that arrived."""
    return DataLossError(
        "what is stored of the original is damaged",
        reason="RECORD_DAMAGED",
        metadata={"document_id": document_id},
    )


def invalid_page_token() -> InvalidArgumentError:
    """The token is not one of ours, or belongs to another request."""
    return InvalidArgumentError(
        "the page token was not made for this request", reason="INVALID_PAGE_TOKEN", metadata={}
    )


def embedder_unavailable(model: str, cause: str) -> UnavailableError:
    """The embedding model does not answer."""
    return UnavailableError(
        f"the embedding model {model} does not answer: {cause}",
        reason="EMBEDDER_UNAVAILABLE",
        metadata={"model": model},
        retry_after=2.0,
    )


def snapshot_invalid(problem: str) -> InvalidArgumentError:
    """The snapshot is damaged or not one, as services.chassis.snapshot says it too."""
    return InvalidArgumentError(
        f"the snapshot cannot be used: {problem}", reason="SNAPSHOT_INVALID", metadata={"problem": problem}
    )


def snapshot_newer(snapshot_version: int, known_version: int) -> FailedPreconditionError:
    """A newer release made the snapshot."""
    return FailedPreconditionError(
        f"the snapshot has schema version {snapshot_version}, this release knows {known_version}: use the"
        " release that made it",
        reason="SNAPSHOT_NEWER",
        metadata={"snapshot_version": str(snapshot_version), "known_version": str(known_version)},
    )


def import_running() -> AbortedError:
    """One snapshot at a time."""
    return AbortedError("another snapshot is being imported", reason="IMPORT_RUNNING", retry_after=5.0)


def purge_running() -> AbortedError:
    """One at a time."""
    return AbortedError("another purge is at work", reason="PURGE_RUNNING", retry_after=5.0)


def index_unavailable(cause: str) -> UnavailableError:
    """The vector index does not answer."""
    return UnavailableError(f"the vector index: {cause}", reason="INDEX_UNAVAILABLE", retry_after=2.0)


def record_restoring() -> UnavailableError:
    """The record is out of reach while it is exchanged."""
    return UnavailableError(
        "the record is being replaced by a snapshot", reason="RECORD_RESTORING", retry_after=1.0
    )


def record_replaced() -> AbortedError:
    """A write into a record that went."""
    return AbortedError(
        "the record was replaced by a snapshot while this call wrote", reason="RECORD_REPLACED"
    )


def embedding_mismatch(
    collection_id: str, collection_model: ModelName, configured: ModelName
) -> FailedPreconditionError:
    """The collection's own model cannot be asked here."""
    remedy = (
        f"reembed the collection, or set MELD_EMBEDDING_MODEL={collection_model.name} and"
        f" VECTOR_DIMENSION={collection_model.dimension}; keyword search works as it is"
    )
    if collection_model.name == configured.name and collection_model.dimension == configured.dimension:
        remedy = "reembed the collection; keyword search works as it is"
    return FailedPreconditionError(
        f"collection {collection_id} holds vectors of {collection_model}, the service is set to"
        f" {configured}: {remedy}",
        reason="EMBEDDING_MISMATCH",
        metadata={
            "collection_model": collection_model.name,
            "collection_dimension": str(collection_model.dimension),
            "collection_revision": collection_model.revision,
            "configured_model": configured.name,
            "configured_dimension": str(configured.dimension),
            "configured_revision": configured.revision,
            "remedy": remedy,
        },
    )


def embedding_model_unusable(model: str, problem: str) -> FailedPreconditionError:
    """No collection can go over to this model here."""
    return FailedPreconditionError(
        f"the embedding model {model[:_SHOWN]} cannot be used: {problem}",
        reason="EMBEDDING_MODEL_UNUSABLE",
        metadata={"model": model[:_SHOWN], "problem": problem},
    )


def reembed_running(collection_id: str, model: str) -> AbortedError:
    """One change of model at a time."""
    return AbortedError(
        f"vectors of {model} are being built for the collection {collection_id[:_SHOWN]}: wait for them, or"
        " cancel that first",
        reason="REEMBED_RUNNING",
        metadata={"collection_id": collection_id[:_SHOWN], "model": model},
    )


def reembed_nothing(collection_id: str) -> FailedPreconditionError:
    """There is nothing to go back to."""
    return FailedPreconditionError(
        f"no earlier vectors of the collection {collection_id[:_SHOWN]} are kept; reembed it with the model"
        " that it shall have",
        reason="REEMBED_NOTHING_KEPT",
        metadata={"collection_id": collection_id[:_SHOWN]},
    )


def reembed_cancelled(collection_id: str) -> AbortedError:
    """Somebody gave the build up while another watched it."""
    return AbortedError(
        f"the new vectors of the collection {collection_id[:_SHOWN]} were given up",
        reason="REEMBED_CANCELLED",
        metadata={"collection_id": collection_id[:_SHOWN]},
    )


def storage_full(what: str) -> ResourceExhaustedError:
    """No space left for `what`."""
    return ResourceExhaustedError(f"the disk has no space for {what}", reason="STORAGE_FULL")


def golden_set_invalid(problems: Sequence[GoldenProblem]) -> InvalidArgumentError:
    """What is wrong with a golden set, at least one thing; the first are told, all are counted."""
    told = "; ".join(f"{_at(one)}{one.what}" for one in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    return InvalidArgumentError(
        f"the golden set cannot be used: {told}" + (f"; and {more} more" if more > 0 else ""),
        reason="GOLDEN_SET_INVALID",
        metadata={
            "line": str(problems[0].line or ""),
            "query_id": problems[0].query_id[:_SHOWN],
            "problems": str(len(problems)),
        },
    )


def _at(problem: GoldenProblem) -> str:
    line = f"line {problem.line}, " if problem.line else ""
    return f"{line}query {problem.query_id[:_SHOWN]}: " if problem.query_id else line


def evaluation_not_found(evaluation_id: str) -> NotFoundError:
    """The same words whether it is missing or of another collection."""
    return NotFoundError(
        f"there is no evaluation {evaluation_id[:_SHOWN]} of this collection",
        reason="EVALUATION_NOT_FOUND",
        metadata={"evaluation_id": evaluation_id[:_SHOWN]},
    )


def evaluation_running() -> AbortedError:
    """One a collection at a time, and few in sum."""
    return AbortedError(
        "this collection, or as many others as may be, are being evaluated",
        reason="EVALUATION_RUNNING",
        retry_after=5.0,
    )


def evaluations_full(limit: int) -> ResourceExhaustedError:
    """The collection keeps no more."""
    return ResourceExhaustedError(
        f"the collection keeps {limit} evaluations already: delete some",
        reason="EVALUATIONS_FULL",
        metadata={"limit": str(limit)},
    )
