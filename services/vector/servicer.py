"""The contract's methods: check the request, call the service, say the answer. Nothing is decided here."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.chassis import context as call
from services.chassis.errors import InvalidArgumentError, ServiceError
from services.vector import asking, identifiers, messages, reading
from services.vector.access import Grant, Role
from services.vector.application import Application
from services.vector.citations import Claim
from services.vector.documents import Collection, Document, DocumentState, Request
from services.vector.embedding.ports import name_of
from services.vector.evaluation.servicer import EvaluationMethods
from services.vector.extraction.errors import ExtractionError
from services.vector.extraction.filename import clean_filename
from services.vector.faults import document_not_found, invalid_field, invalid_page_token
from services.vector.ingest.importing import TextItem
from services.vector.ingest.ingestion import Header
from services.vector.ingest.spool import PIECE_BYTES
from services.vector.search.comparing import Compared
from services.vector.search.searching import Question, mismatch, require_model
from services.vector.upkeep.walking import Cursor, Scope

_MOST_COLLECTIONS = 16
_MOST_CITATIONS = 1_000
_MOST_GRANTS = 256
_MOST_NAME_CHARACTERS = 128
_MOST_TEXTS = 256
_MOST_TEXT_CHARACTERS = 32_000
_MOST_QUERY_CHARACTERS = 8_000
_MOST_PASSAGES = 100
# Of one passage, and of all in a request.
_MOST_SPANS, _MOST_SPANS_IN_ALL = 1_000, 10_000
_MOST_ID_CHARACTERS = 512
_MOST_DROPPED = 1_000
# A week, and a year.
_KEEP_SECONDS, _MOST_KEEP_SECONDS = 604_800.0, 31_536_000.0
# Left over when the handler gives its own deadline on.
_MARGIN_SECONDS = 0.2


class VectorServicer(EvaluationMethods, vector_pb2_grpc.VectorServiceServicer):
    """meldrag.vector.v1.VectorService over an Application, but for what replaces that: see SwitchedServicer.

    The methods of the contract that are in neither come later; the chassis says so of them.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Any
    ) -> pb.CreateCollectionResponse:
        """See the contract."""
        del context
        application = self._application
        made = await application.record.collections.create(
            asking.caller(),
            identifiers.collection_id(request.collection_id),
            description=identifiers.line("description", request.description, 1_000),
            model=name_of(application.embedder),
            request=_request(request),
        )
        return pb.CreateCollectionResponse(collection=await self._shown(made))

    async def GetCollection(self, request: pb.GetCollectionRequest, context: Any) -> pb.GetCollectionResponse:
        """See the contract."""
        del context
        found = await self._application.record.collections.get(asking.caller(), request.collection_id)
        return pb.GetCollectionResponse(collection=await self._shown(found))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Any
    ) -> pb.ListCollectionsResponse:
        """See the contract."""
        del context
        size = asking.page_size(request.page_size)
        scope = ("collections", asking.caller().space)
        after = str(self._place(request.page_token, scope, ""))
        found = await self._application.record.collections.page(asking.caller(), after, size + 1)
        return pb.ListCollectionsResponse(
            collections=await self._all_shown(found[:size]),
            next_page_token=self._next([one.collection_id for one in found], size, scope),
        )

    async def SetCollectionAccess(
        self, request: pb.SetCollectionAccessRequest, context: Any
    ) -> pb.SetCollectionAccessResponse:
        """See the contract."""
        del context
        changed = await self._application.record.collections.set_access(
            asking.caller(), request.collection_id, _grants(request), _request(request)
        )
        return pb.SetCollectionAccessResponse(collection=await self._shown(changed))

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Any
    ) -> pb.DeleteCollectionResponse:
        """See the contract."""
        del context
        receipt = await self._application.deletion.collection(
            asking.caller(), request.collection_id, _request(request)
        )
        return pb.DeleteCollectionResponse(receipt=messages.receipt(receipt))

    async def IngestDocument(
        self, request_iterator: AsyncIterator[pb.IngestDocumentRequest], context: Any
    ) -> AsyncIterator[pb.IngestDocumentResponse]:
        """See the contract."""
        del context
        begun = time.monotonic()
        application = self._application
        requests = aiter(request_iterator)
        collection_id, header = _header(await anext(requests, pb.IngestDocumentRequest()))
        collection = await application.record.collections.get(asking.caller(), collection_id, Role.WRITER)
        await self._require_taking(collection)
        deadline = begun + max(0.0, call.remaining() - _MARGIN_SECONDS)
        pieces = None if header.url else _pieces(requests)
        if pieces is None and await anext(requests, None) is not None:
            raise invalid_field("part", "", "must not follow a header with a url")
        steps = application.ingestion.ingest(asking.caller(), collection, header, pieces, deadline)
        async with aclosing(steps):
            async for step in steps:
                yield pb.IngestDocumentResponse(
                    stage=pb.IngestStage.Name(step.stage),
                    document=messages.document(step.document),
                    existing=step.existing,
                    elapsed=_since(begun),
                )

    async def ImportDocuments(
        self, request_iterator: AsyncIterator[pb.ImportDocumentsRequest], context: Any
    ) -> AsyncIterator[pb.ImportDocumentsResponse]:
        """See the contract."""
        del context
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None:
            raise invalid_field("text", "", "is missing: no document came")
        collection = await self._application.record.collections.get(
            asking.caller(), first.collection_id, Role.WRITER
        )
        await self._require_taking(collection)
        outcomes = self._application.importing.run(asking.caller(), collection, _items(first, requests))
        index = 0
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield pb.ImportDocumentsResponse(
                    index=index,
                    document=messages.document(outcome.document) if outcome.document else None,
                    existing=outcome.existing,
                    error=messages.document_error(outcome.error) if outcome.error else None,
                )
                index += 1

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Any) -> pb.GetDocumentResponse:
        """See the contract."""
        del context
        found = await self._document(request.collection_id, request.document_id)
        places = await self._application.jobs.places([found])
        return pb.GetDocumentResponse(document=messages.document(found, places.get(found.document_id)))

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Any) -> pb.ListDocumentsResponse:
        """See the contract."""
        del context
        size = asking.page_size(request.page_size)
        states = [_state(number) for number in request.states]
        content_sha256 = identifiers.sha256("content_sha256", request.content_sha256)
        scope = (
            "documents",
            asking.caller().space,
            request.collection_id,
            states,
            request.external_id,
            content_sha256,
        )
        before = self._place(request.page_token, scope, 2**62)
        if not isinstance(before, int):
            raise invalid_page_token()
        found = await self._application.record.documents.page(
            asking.caller(),
            request.collection_id,
            before_key=before,
            size=size + 1,
            states=states,
            external_id=request.external_id,
            content_sha256=content_sha256,
        )
        places = await self._application.jobs.places(found[:size])
        return pb.ListDocumentsResponse(
            documents=[messages.document(one, places.get(one.document_id)) for one in found[:size]],
            next_page_token=self._next([one.key for one in found], size, scope),
        )

    async def ListDocumentEvents(
        self, request: pb.ListDocumentEventsRequest, context: Any
    ) -> pb.ListDocumentEventsResponse:
        """See the contract."""
        del context
        scope = ("document events", asking.caller().space)
        page = await self._application.record.happenings.after(
            asking.caller(),
            int(self._place(request.page_token, scope, 0)),
            messages.moment("start_time", request.start_time) if request.HasField("start_time") else None,
            asking.page_size(request.page_size),
        )
        return pb.ListDocumentEventsResponse(
            events=map(messages.document_event, page.happenings),
            next_page_token=self._application.page_tokens.make(page.position, *scope),
        )

    async def ReadDocumentText(
        self, request: pb.ReadDocumentTextRequest, context: Any
    ) -> AsyncIterator[pb.ReadDocumentTextResponse]:
        """See the contract."""
        del context
        document = await self._document(request.collection_id, request.document_id)
        span = (request.span.byte_start, request.span.byte_end) if request.HasField("span") else None
        async for piece in reading.pieces(self._application.record.documents, document, span):
            yield pb.ReadDocumentTextResponse(
                text=piece.text,
                span=pb.Span(byte_start=piece.byte_start, byte_end=piece.byte_end),
                extraction_sha256=piece.extraction_sha256,
            )

    async def ReadDocumentOriginal(
        self, request: pb.ReadDocumentOriginalRequest, context: Any
    ) -> AsyncIterator[pb.ReadDocumentOriginalResponse]:
        """See the contract."""
        del context
        document = await self._document(request.collection_id, request.document_id)
        told: pb.Document | None = messages.document(document)
        pieces = reading.original(
            self._application.record.documents, document, request.byte_start, request.byte_end
        )
        async for data in pieces:
            yield pb.ReadDocumentOriginalResponse(document=told, data=data)
            told = None

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, context: Any
    ) -> pb.DeleteDocumentResponse:
        """See the contract."""
        del context
        receipt = await self._application.deletion.document(
            asking.caller(), request.collection_id, request.document_id, _request(request)
        )
        return pb.DeleteDocumentResponse(receipt=messages.receipt(receipt))

    async def CancelIngest(self, request: pb.CancelIngestRequest, context: Any) -> pb.CancelIngestResponse:
        """See the contract."""
        del context
        application = self._application
        removal = await application.jobs.cancel(
            asking.caller(), request.collection_id, request.document_id, _request(request)
        )
        receipt = await application.deletion.cancelled(asking.caller(), removal)
        return pb.CancelIngestResponse(receipt=messages.receipt(receipt))

    async def RetryIngest(self, request: pb.RetryIngestRequest, context: Any) -> pb.RetryIngestResponse:
        """See the contract."""
        del context
        jobs = self._application.jobs
        document = await jobs.retry(
            asking.caller(), request.collection_id, request.document_id, _request(request)
        )
        places = await jobs.places([document])
        return pb.RetryIngestResponse(document=messages.document(document, places.get(document.document_id)))

    async def ReprocessDocument(
        self, request: pb.ReprocessDocumentRequest, context: Any
    ) -> AsyncIterator[pb.ReprocessDocumentResponse]:
        """See the contract."""
        del context
        begun = time.monotonic()
        collection = await self._application.record.collections.get(
            asking.caller(), request.collection_id, Role.WRITER
        )
        await self._require_taking(collection)
        steps = self._application.ingestion.reprocess(
            asking.caller(),
            request.collection_id,
            request.document_id,
            _request(request, "wait_ready"),
            begun + max(0.0, call.remaining() - _MARGIN_SECONDS),
            wait_ready=request.wait_ready,
        )
        async with aclosing(steps):
            async for step in steps:
                yield pb.ReprocessDocumentResponse(
                    stage=pb.IngestStage.Name(step.stage),
                    document=messages.document(step.document),
                    existing=step.existing,
                    elapsed=_since(begun),
                )

    async def CancelReprocess(
        self, request: pb.CancelReprocessRequest, context: Any
    ) -> pb.CancelReprocessResponse:
        """See the contract."""
        del context
        document = await self._application.jobs.cancel_reprocess(
            asking.caller(), request.collection_id, request.document_id, _request(request)
        )
        return pb.CancelReprocessResponse(document=messages.document(document))

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        """See the contract."""
        del context
        application = self._application
        ids = list(
            dict.fromkeys(identifiers.few("collection_ids", request.collection_ids, _MOST_COLLECTIONS))
        )
        asked = _question(request, application.default_hits, application.default_threshold)
        collections = await application.record.collections.get_all(asking.caller(), ids)
        found = await application.searching.search(collections, asked)
        return pb.SearchResponse(
            hits=map(messages.hit, found.hits),
            dropped=map(messages.dropped, found.dropped[:_MOST_DROPPED]),
            mode=pb.SearchMode.Name(found.mode),
            degraded_reason=found.degraded,
            pending_vectors=found.pending,
        )

    async def VerifyCitations(
        self, request: pb.VerifyCitationsRequest, context: Any
    ) -> pb.VerifyCitationsResponse:
        """See the contract."""
        del context
        identifiers.whole("citations", len(request.citations), 1, _MOST_CITATIONS)
        claims = [
            Claim(one.document_id, one.extraction_sha256, one.span.byte_start, one.span.byte_end, one.quote)
            for one in request.citations
        ]
        verdicts = await self._application.citations.verify(asking.caller(), claims)
        return pb.VerifyCitationsResponse(
            verdicts=[
                pb.CitationVerdict(
                    verified=verdict.fault is None,
                    fault=pb.CitationFault.Name(verdict.fault or 0),
                    page=verdict.where.page,
                    location=verdict.where.location,
                )
                for verdict in verdicts
            ]
        )

    async def EmbedTexts(self, request: pb.EmbedTextsRequest, context: Any) -> pb.EmbedTextsResponse:
        """See the contract."""
        del context
        identifiers.whole("texts", len(request.texts), 1, _MOST_TEXTS)
        for text in request.texts:
            identifiers.whole("texts", len(text), 1, _MOST_TEXT_CHARACTERS)
        vectors = await self._application.embed(list(request.texts))
        embedder = self._application.embedder
        scale = embedder.scale()
        return pb.EmbedTextsResponse(
            embeddings=[pb.Embedding(values=row) for row in vectors.tolist()],
            embedding_model=embedder.model,
            similarity_factor=scale.worth,
            similarity_offset=scale.offset,
        )

    async def CompareWords(self, request: pb.CompareWordsRequest, context: Any) -> pb.CompareWordsResponse:
        """See the contract."""
        del context
        question = _query("question", request.question)
        identifiers.whole("passages", len(request.passages), 1, _MOST_PASSAGES)
        if len({one.chunk_id for one in request.passages}) < len(request.passages):
            raise invalid_field("passages", len(request.passages), "must name each passage once")
        for one in request.passages:
            identifiers.whole("passages.spans", len(one.spans), 1, _MOST_SPANS)
        identifiers.whole("spans", sum(len(one.spans) for one in request.passages), 1, _MOST_SPANS_IN_ALL)
        asked = [
            Compared(
                one.document_id,
                one.chunk_id,
                one.extraction_sha256,
                [(span.byte_start, span.byte_end) for span in one.spans],
            )
            for one in request.passages
        ]
        found = await self._application.comparing.compare(asking.caller(), question, asked)
        return pb.CompareWordsResponse(
            words=found.words,
            weights=found.weights,
            spans=[pb.SpanNearness(known=near is not None, nearness=near) for near in found.nearness],
            similarity_factor=found.scale.worth if found.scale else 0.0,
            similarity_offset=found.scale.offset if found.scale else 0.0,
        )

    async def ListEmbeddingModels(
        self, request: pb.ListEmbeddingModelsRequest, context: Any
    ) -> pb.ListEmbeddingModelsResponse:
        """See the contract."""
        del request, context
        roster = self._application.roster
        return pb.ListEmbeddingModelsResponse(
            embedding_models=[
                pb.EmbeddingModel(
                    name=one.model,
                    dimension=one.dimension,
                    revision=one.revision,
                    configured=one is roster.configured,
                )
                for one in roster.all
            ]
        )

    async def GetDeletion(self, request: pb.GetDeletionRequest, context: Any) -> pb.GetDeletionResponse:
        """See the contract."""
        del context
        receipt = await self._application.deletion.receipt(asking.caller().space, request.tombstone_id)
        return pb.GetDeletionResponse(receipt=messages.receipt(receipt))

    async def CheckIndex(self, request: pb.CheckIndexRequest, context: Any) -> pb.CheckIndexResponse:
        """See the contract."""
        del context
        application = self._application
        scope, token = self._walk(request)
        report = await application.checking.page(scope, self._cursor(request.page_token, token))
        last = report.after is None and request.every_tenant
        return pb.CheckIndexResponse(
            faults=[messages.fault(one, every_tenant=request.every_tenant) for one in report.faults],
            checked_chunks=report.chunks,
            total_chunks=await application.walking.total_chunks(scope),
            step=report.words,
            next_page_token=self._after(report.after, token),
            unpurged_chunks=await application.record.purging.unpurged() if last else 0,
        )

    async def RepairIndex(self, request: pb.RepairIndexRequest, context: Any) -> pb.RepairIndexResponse:
        """See the contract."""
        del context
        application = self._application
        identifiers.line("request_id", request.request_id, 128)
        scope, token = self._walk(request)
        work = application.checking if request.dry_run else application.repairing
        report = await work.page(scope, self._cursor(request.page_token, token))
        return pb.RepairIndexResponse(
            faults=[messages.fault(one, every_tenant=request.every_tenant) for one in report.faults],
            checked_chunks=report.chunks,
            total_chunks=await application.walking.total_chunks(scope),
            step=report.words,
            next_page_token=self._after(report.after, token),
        )

    async def PurgeDeleted(self, request: pb.PurgeDeletedRequest, context: Any) -> pb.PurgeDeletedResponse:
        """See the contract."""
        del context
        identifiers.line("request_id", request.request_id, 128)
        done = await self._application.purging.run()
        return pb.PurgeDeletedResponse(
            purged_chunks=done.chunks,
            record_bytes_before=done.size_before,
            record_bytes_after=done.size_after,
            removed_files=done.removed_files,
            index_files_renewed=done.index_files_renewed,
            purge_time=messages.timestamp(done.end),
        )

    async def ReembedCollection(
        self, request: pb.ReembedCollectionRequest, context: Any
    ) -> AsyncIterator[pb.ReembedCollectionResponse]:
        """See the contract."""
        del context
        building, caller = self._application.building, asking.caller()
        identifiers.line("request_id", request.request_id, 128)
        model = identifiers.line("embedding_model", request.embedding_model, 255)
        key = await building.begin(caller, request.collection_id, model, _kept_for(request))
        steps = building.watch(caller, request.collection_id, key)
        async with aclosing(steps):
            async for step in steps:
                yield pb.ReembedCollectionResponse(reembedding=messages.reembedding(step))
        found = await self._application.record.collections.get(caller, request.collection_id)
        yield pb.ReembedCollectionResponse(
            reembedding=pb.Reembedding(
                embedding_model=found.model.name,
                dimension=found.dimension,
                embedding_revision=found.model.revision,
                stage=pb.REEMBED_STAGE_DONE,
                chunks=found.chunks,
                vectors=found.vectors,
            ),
            collection=await self._shown(found),
        )

    async def CancelReembed(self, request: pb.CancelReembedRequest, context: Any) -> pb.CancelReembedResponse:
        """See the contract."""
        del context
        identifiers.line("request_id", request.request_id, 128)
        found = await self._application.building.cancel(asking.caller(), request.collection_id)
        return pb.CancelReembedResponse(collection=await self._shown(found))

    async def RevertReembed(self, request: pb.RevertReembedRequest, context: Any) -> pb.RevertReembedResponse:
        """See the contract."""
        del context
        found = await self._application.building.revert(
            asking.caller(), request.collection_id, _request(request)
        )
        return pb.RevertReembedResponse(collection=await self._shown(found))

    async def FinishReembed(self, request: pb.FinishReembedRequest, context: Any) -> pb.FinishReembedResponse:
        """See the contract."""
        del context
        identifiers.line("request_id", request.request_id, 128)
        found = await self._application.building.finish(asking.caller(), request.collection_id)
        return pb.FinishReembedResponse(collection=await self._shown(found))

    async def _shown(self, collection: Collection) -> pb.Collection:
        return (await self._all_shown([collection]))[0]

    async def _all_shown(self, collections: Sequence[Collection]) -> list[pb.Collection]:
        changes = await self._application.record.reembedding.changes([one.key for one in collections])
        return [
            messages.collection(one, changes.get(one.key), mismatch(one, self._application.roster))
            for one in collections
        ]

    async def _require_taking(self, collection: Collection) -> None:
        """Raises EMBEDDING_MISMATCH where nothing makes vectors of what the collection would take in."""
        roster = self._application.roster
        if roster.find(collection.model) is None:
            changes = await self._application.record.reembedding.changes([collection.key])
            change = changes.get(collection.key)
            if change is None or change.building is None or not roster.find(change.building.generation.model):
                require_model(collection, roster)

    def _walk(self, request: Any) -> tuple[Scope, tuple[object, ...]]:
        """What is to be looked at, and what its page tokens are bound to."""
        if request.every_tenant and request.collection_id:
            raise invalid_field("collection_id", request.collection_id, "must be empty with every_tenant")
        scope = Scope(None if request.every_tenant else call.principal().tenant_id, request.collection_id)
        return scope, ("walk", call.principal().tenant_id, request.every_tenant, request.collection_id)

    def _cursor(self, token: str, scope: tuple[object, ...]) -> Cursor:
        return Cursor.from_text(str(self._place(token, scope, Cursor().to_text())))

    def _after(self, cursor: Cursor | None, scope: tuple[object, ...]) -> str:
        return "" if cursor is None else self._application.page_tokens.make(cursor.to_text(), *scope)

    async def _document(self, collection_id: str, document_id: str) -> Document:
        if not identifiers.is_document_id(document_id):
            # It still depends on the collection which of the two is not found.
            await self._application.record.collections.get(asking.caller(), collection_id)
            raise document_not_found(document_id)
        return await self._application.record.documents.get(asking.caller(), collection_id, document_id)

    def _place(self, token: str, scope: tuple[object, ...], first: str | int) -> str | int:
        return self._application.page_tokens.read(token, *scope) if token else first

    def _next(self, places: Sequence[str | int], size: int, scope: tuple[object, ...]) -> str:
        return self._application.page_tokens.make(places[size - 1], *scope) if len(places) > size else ""


def _request(request: Any, *but: str) -> Request | None:
    """The id that makes this write repeatable, with a hash of the rest of the message but for some fields."""
    if not identifiers.line("request_id", request.request_id, 128):
        return None
    bare: Message = type(request)()
    bare.CopyFrom(request)
    for name in ("request_id", *but):
        bare.ClearField(name)
    return Request(request.request_id, hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest())


def _grants(request: pb.SetCollectionAccessRequest) -> list[Grant]:
    identifiers.whole("grants", len(request.grants), 0, _MOST_GRANTS)
    grants = [_grant(one) for one in request.grants]
    if len({one.grantee for one in grants}) < len(grants):
        raise invalid_field("grants", "", "must name each person and each group once")
    return grants


def _grant(given: pb.Grant) -> Grant:
    kind = given.WhichOneof("grantee")
    if kind is None:
        raise invalid_field("grants", "", "must each name a person or a group")
    name = getattr(given, kind)
    identifiers.whole(f"grants.{kind}", len(name), 1, _MOST_NAME_CHARACTERS)
    identifiers.line(f"grants.{kind}", name, _MOST_NAME_CHARACTERS)
    if given.role not in (pb.COLLECTION_ROLE_READER, pb.COLLECTION_ROLE_WRITER):
        raise invalid_field("grants.role", given.role, "must be that of a reader or a writer")
    role = Role(given.role)
    return Grant(name, "", role) if kind == "subject" else Grant("", name, role)


def _kept_for(request: pb.ReembedCollectionRequest) -> float:
    """Seconds."""
    if not request.HasField("keep_previous"):
        return _KEEP_SECONDS
    seconds = request.keep_previous.seconds + request.keep_previous.nanos / 1e9
    if not 0 <= seconds <= _MOST_KEEP_SECONDS:
        raise invalid_field("keep_previous", seconds, "must be 0 to 31536000 seconds")
    return seconds


def _state(number: int) -> DocumentState:
    try:
        return DocumentState(number)
    except ValueError:
        raise invalid_field("states", number, "must be states of a document") from None


def _header(message: pb.IngestDocumentRequest) -> tuple[str, Header]:
    """The collection's id and the rest."""
    if message.WhichOneof("part") != "header":
        raise invalid_field("header", message.WhichOneof("part") or "", "must come first")
    given = message.header
    # What stands behind # is for whoever reads the page.
    url = given.url.partition("#")[0]
    try:
        # A file that is fetched may have the name that its host gives it.
        filename = clean_filename(given.filename) if given.filename or not url else ""
    except ExtractionError as error:
        raise InvalidArgumentError(error.message, reason=error.reason, metadata=error.metadata) from error
    return given.collection_id, Header(
        filename=filename,
        media_type=identifiers.line("header.media_type", given.media_type, 255),
        external_id=identifiers.line(
            "header.external_id", given.external_id or _as_id(url), _MOST_ID_CHARACTERS
        ),
        title=identifiers.line("header.title", given.title, 1_000),
        metadata=({"url": url} if url else {}) | messages.scalars("header.metadata", given.metadata),
        request_id=identifiers.line("header.request_id", given.request_id, 128),
        size=identifiers.whole("header.bytes", given.bytes, 0, 2**62),
        content_sha256=identifiers.sha256("header.content_sha256", given.content_sha256),
        wait_ready=given.wait_ready,
        url=url,
    )


def _since(begun: float) -> Duration:
    """begun: a monotonic time."""
    elapsed = Duration()
    elapsed.FromNanoseconds(int((time.monotonic() - begun) * 1e9))
    return elapsed


def _as_id(url: str) -> str:
    return url if len(url) <= _MOST_ID_CHARACTERS else ""


async def _pieces(requests: AsyncIterator[pb.IngestDocumentRequest]) -> AsyncIterator[bytes]:
    async for message in requests:
        if message.WhichOneof("part") != "data":
            raise invalid_field("part", message.WhichOneof("part") or "", "must be data after the header")
        if len(message.data) > PIECE_BYTES:
            raise invalid_field("data", len(message.data), f"must have at most {PIECE_BYTES} bytes")
        yield message.data


async def _items(
    first: pb.ImportDocumentsRequest, requests: AsyncIterator[pb.ImportDocumentsRequest]
) -> AsyncIterator[TextItem]:
    yield _item(first, first.collection_id)
    async for message in requests:
        yield _item(message, first.collection_id)


def _item(message: pb.ImportDocumentsRequest, collection_id: str) -> TextItem:
    try:
        if message.collection_id not in ("", collection_id):
            raise invalid_field("collection_id", message.collection_id, "must be the same in all messages")
        return TextItem(
            identifiers.line("external_id", message.external_id, _MOST_ID_CHARACTERS),
            identifiers.line("title", message.title, 1_000),
            message.text,
            messages.scalars("metadata", message.metadata),
        )
    except ServiceError as fault:
        return TextItem(message.external_id, "", "", {}, fault)


def _query(field: str, given: str) -> str:
    identifiers.whole(field, len(given), 1, _MOST_QUERY_CHARACTERS)
    if "\0" in given:
        raise invalid_field(field, given, "must hold no NUL character")
    return given


def _question(request: pb.SearchRequest, hits: int, threshold: float) -> Question:
    return Question(
        text=_query("query", request.query),
        mode=asking.mode(request),
        threshold=asking.threshold(request, threshold),
        top_k=asking.top_k(request, hits),
        condition=messages.condition(request.filter),
        explain=request.explain,
    )
