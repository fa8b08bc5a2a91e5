"""Between the contract's messages and the service's own values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector import identifiers
from services.vector.access import Grant
from services.vector.documents import Collection, Document, QueuePlace, Receipt, Scalar
from services.vector.faults import invalid_field
from services.vector.record.happenings import Happening
from services.vector.record.passages import Condition
from services.vector.record.reembedding import Change, Kept, Progress
from services.vector.search.searching import DroppedPassage, ScoredPassage
from services.vector.upkeep.checking import Fault

_MOST_FILTER_VALUES = 1_000


def timestamp(moment: datetime) -> Timestamp:
    """Exact to the microsecond."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def moment(field: str, given: Timestamp) -> datetime:
    """Of a message. Raises INVALID_FIELD."""
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid_field(field, given.seconds, "must be a time") from None


def document_event(value: Happening) -> pb.DocumentEvent:
    """As the contract says it."""
    return pb.DocumentEvent(
        collection_id=value.collection_id,
        document_id=value.document_id,
        state=pb.DocumentState.Name(int(value.state)),
        error_reason=value.error_reason,
        event_time=timestamp(value.time),
        title=value.title,
        filename=value.filename,
        warning_count=value.warnings,
        again=value.again,
    )


def struct(values: Mapping[str, Scalar]) -> Struct:
    """A flat object."""
    made = Struct()
    made.update(dict(values))
    return made


def scalars(field: str, given: Struct) -> dict[str, Scalar]:
    """The values of a flat object. Raises INVALID_FIELD for anything else."""
    return identifiers.metadata(field, {name: _plain(value) for name, value in given.fields.items()})


def _plain(value: Any) -> object:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind in ("string_value", "number_value", "bool_value") else None


def collection(value: Collection, change: Change | None = None, notice: str = "") -> pb.Collection:
    """As the contract says it. notice: why its vectors cannot be asked."""
    change = change or Change()
    return pb.Collection(
        collection_id=value.collection_id,
        description=value.description,
        embedding_model=value.model.name,
        dimension=value.dimension,
        embedding_revision=value.model.revision,
        embedding_notice=notice,
        reembedding=reembedding(change.building) if change.building else None,
        previous_embedding=_kept(change.kept) if change.kept else None,
        documents=value.documents,
        chunks=value.chunks,
        vectors=value.vectors,
        create_time=timestamp(value.create_time),
        owner=value.owner,
        role=pb.CollectionRole.Name(value.role),
        grants=map(_grant, value.grants),
    )


def reembedding(value: Progress) -> pb.Reembedding:
    """As the contract says it."""
    generation = value.generation
    return pb.Reembedding(
        embedding_model=generation.model.name,
        dimension=generation.model.dimension,
        embedding_revision=generation.model.revision,
        stage=pb.ReembedStage.Name(value.stage),
        chunks=value.chunks,
        vectors=value.vectors,
        refused_chunks=value.refused,
        begin_time=timestamp(generation.create_time),
        reverts=generation.reverts,
    )


def _kept(value: Kept) -> pb.PreviousEmbedding:
    model = value.generation.model
    return pb.PreviousEmbedding(
        embedding_model=model.name,
        dimension=model.dimension,
        embedding_revision=model.revision,
        vectors=value.vectors,
        expire_time=timestamp(value.expire_time),
    )


def _grant(value: Grant) -> pb.Grant:
    role = pb.CollectionRole.Name(value.role)
    if value.subject:
        return pb.Grant(subject=value.subject, role=role)
    return pb.Grant(group=value.group, role=role)


def document(value: Document, place: QueuePlace | None = None) -> pb.Document:
    """As the contract says it."""
    failure = value.failure
    error = pb.DocumentError(reason=failure.reason, message=failure.message) if failure else None
    there = value.state.committed
    return pb.Document(
        document_id=value.document_id,
        collection_id=value.collection_id,
        external_id=value.external_id,
        title=value.title,
        state=pb.DocumentState.Name(value.state),
        error=None if there else error,
        bytes=value.size,
        chunks=value.chunks,
        vectors=value.vectors,
        media_type=value.media_type,
        content_sha256=value.content_sha256,
        extraction_sha256=value.extraction_sha256,
        text_bytes=value.text_bytes,
        pages=value.pages,
        metadata=struct(value.metadata),
        create_time=timestamp(value.create_time),
        filename=value.filename,
        warnings=value.warnings,
        queue=_place(place) if place else None,
        has_original=value.has_original,
        reprocessing=value.reprocessing,
        reprocess_error=error if there else None,
    )


def _place(value: QueuePlace) -> pb.QueuePlace:
    place = pb.QueuePlace(position=value.position)
    if value.seconds is not None:
        place.remaining.FromMilliseconds(round(value.seconds * 1000))
    return place


def document_error(error: ServiceError) -> pb.DocumentError:
    """An error that belongs to one document of many."""
    return pb.DocumentError(reason=error.reason, message=error.message)


def receipt(value: Receipt) -> pb.DeletionReceipt:
    """As the contract says it."""
    return pb.DeletionReceipt(
        resource=value.resource,
        state=pb.DELETION_STATE_COMPLETE if value.complete else pb.DELETION_STATE_PENDING,
        record_documents=value.record_documents,
        record_chunks=value.record_chunks,
        record_evaluations=value.record_evaluations,
        record_originals=value.record_originals,
        lexical_entries=value.lexical_entries,
        vector_entries=value.vector_entries,
        files=value.files,
        purge_time=timestamp(value.purge_time) if value.purge_time else None,
        tombstone_id=value.tombstone_id,
        delete_time=timestamp(value.delete_time),
        deleted_documents=value.deleted_documents,
        deleted_chunks=value.deleted_chunks,
        deleted_evaluations=value.deleted_evaluations,
    )


def fault(value: Fault, *, every_tenant: bool) -> pb.IndexFault:
    """As the contract says it."""
    finding, subject = value.finding, value.subject
    return pb.IndexFault(
        collection_id=subject.collection_id if subject else "",
        tenant_id=subject.tenant_id if subject and every_tenant else "",
        document_id=finding.document_id,
        message=finding.message,
        chunks=finding.chunks,
        kind=pb.IndexFaultKind.Name(finding.kind),
        remedy=pb.IndexRemedy.Name(finding.cure),
        mended=value.mended,
    )


def condition(given: pb.Filter) -> Condition:
    """What a filter asks. Raises INVALID_FIELD."""

    def listed(name: str) -> tuple[str, ...]:
        return identifiers.few(f"filter.{name}", list(getattr(given, name)), _MOST_FILTER_VALUES)

    return Condition(
        document_ids=listed("document_ids"),
        external_ids=listed("external_ids"),
        # Their case means nothing (RFC 9110); the record has them in small letters.
        media_types=tuple(name.lower() for name in listed("media_types")),
        min_create_time=_moment("filter.min_create_time", given, "min_create_time"),
        max_create_time=_moment("filter.max_create_time", given, "max_create_time"),
        metadata=scalars("filter.metadata", given.metadata),
    )


def _moment(field: str, given: pb.Filter, name: str) -> datetime | None:
    if not given.HasField(name):
        return None
    try:
        return getattr(given, name).ToDatetime(UTC)  # type: ignore[no-any-return] # a Timestamp
    except (ValueError, OverflowError):
        raise invalid_field(field, "", "must be a time") from None


def hit(found: ScoredPassage) -> pb.Hit:
    """As the contract says it."""
    passage, scores = found.passage, found.scores
    return pb.Hit(
        document_id=passage.document_id,
        external_id=passage.external_id,
        title=passage.title,
        chunk_id=passage.chunk_id,
        collection_id=passage.collection_id,
        text=passage.text,
        span=pb.Span(byte_start=passage.byte_start, byte_end=passage.byte_end),
        extraction_sha256=passage.extraction_sha256,
        page=passage.page,
        location=passage.location,
        score=scores.fused,
        lexical_score=scores.lexical,
        vector_score=scores.vector,
        late_interaction_score=scores.late,
        headings=passage.headings,
    )


def dropped(candidate: DroppedPassage) -> pb.DroppedCandidate:
    """As the contract says it."""
    place, scores = candidate.place, candidate.scores
    return pb.DroppedCandidate(
        document_id=place.document_id if place else "",
        chunk_id=place.chunk_id if place else "",
        cause=pb.DropCause.Name(candidate.cause),
        score=scores.fused,
        lexical_score=scores.lexical,
        vector_score=scores.vector,
        late_interaction_score=scores.late,
    )
