"""Small vector and session services that keep the contracts, in memory, over real gRPC."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from services.chassis.server import Hosted, Server
from services.chassis.settings import ServiceSettings

DIMENSION = 96
ENDED = (session_pb2.RUN_STATE_SUCCEEDED, session_pb2.RUN_STATE_FAILED, session_pb2.RUN_STATE_CANCELLED)


def words(text: str) -> list[str]:
    """Lower-case words without a plural s, so that the small embedding knows some grammar."""
    return [word.removesuffix("s") for word in re.findall(r"\w+", text.lower())]


def bag_vector(text: str) -> np.ndarray:
    """A unit vector that is close to another one when the texts share words."""
    row = np.zeros(DIMENSION)
    for word in words(text):
        row[int(hashlib.md5(word.encode()).hexdigest(), 16) % DIMENSION] += 1.0
    return row / (np.linalg.norm(row) or 1.0)


class Faults:
    """What is wrong with a service now: `error` is raised by `methods` (all when empty); `delay` is slept."""

    def __init__(self) -> None:
        self.error: ServiceError | None = None
        self.methods: set[str] = set()
        self.delay = 0.0
        self.calls: list[str] = []

    async def meet(self, method: str) -> None:
        self.calls.append(method)
        if self.methods and method not in self.methods:
            return
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error


class VectorNeighbour(vector_pb2_grpc.VectorServiceServicer):
    """Documents, one passage each, by collection."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.collections: dict[str, list[vector_pb2.Hit]] = {}
        # Listed once more, and deleted before anybody searches them.
        self.going: set[str] = set()
        self.forged: set[str] = set()
        # Factor and offset of the cosines of its vectors.
        self.similarity = (1.0, 0.0)
        self.searches: list[vector_pb2.SearchRequest] = []
        self.verified: list[vector_pb2.Citation] = []
        # By external id: what was said of a document, and its bytes.
        self.ingested: dict[str, tuple[vector_pb2.IngestHeader, bytes]] = {}
        self.metadata: list[dict[str, str]] = []

    def put(self, collection_id: str, title: str, text: str, before: str = "") -> vector_pb2.Hit:
        """A document whose only passage stands behind `before`."""
        start = len(before.encode())
        hit = vector_pb2.Hit(
            document_id=f"doc-{hashlib.md5((title + text).encode()).hexdigest()[:8]}",
            title=title,
            chunk_id=f"chunk-{title}",
            collection_id=collection_id,
            text=text,
            span=vector_pb2.Span(byte_start=start, byte_end=start + len(text.encode())),
            extraction_sha256=hashlib.sha256((before + text).encode()).hexdigest(),
        )
        self.collections.setdefault(collection_id, []).append(hit)
        return hit

    async def ListCollections(self, request: Any, rpc: Any) -> vector_pb2.ListCollectionsResponse:
        await self.faults.meet("ListCollections")
        listed = sorted({*self.collections, *self.going})[: request.page_size]
        self.going.clear()
        return vector_pb2.ListCollectionsResponse(
            collections=[vector_pb2.Collection(collection_id=one) for one in listed]
        )

    async def Search(self, request: Any, rpc: Any) -> vector_pb2.SearchResponse:
        self.metadata.append(dict(rpc.invocation_metadata()))
        self.searches.append(request)
        await self.faults.meet("Search")
        found = []
        for collection_id in request.collection_ids:
            if collection_id not in self.collections:
                raise NotFoundError(
                    f"no collection {collection_id}",
                    reason="COLLECTION_NOT_FOUND",
                    metadata={"collection_id": collection_id},
                )
            found += self.collections[collection_id]
        scored = []
        for hit in found:
            score = float(bag_vector(request.query) @ bag_vector(hit.text))
            copy = vector_pb2.Hit()
            copy.CopyFrom(hit)
            copy.score = copy.vector_score = score
            if set(words(request.query)) & set(words(hit.text)):
                scored.append(copy)
        scored.sort(key=lambda hit: (-hit.score, hit.document_id))
        return vector_pb2.SearchResponse(
            hits=scored[: request.top_k or 10], mode=vector_pb2.SEARCH_MODE_HYBRID
        )

    async def IngestDocument(
        self, request_iterator: Any, rpc: Any
    ) -> AsyncIterator[vector_pb2.IngestDocumentResponse]:
        await self.faults.meet("IngestDocument")
        header, *pieces = [message async for message in request_iterator]
        data = b"".join(piece.data for piece in pieces)
        assert max((len(piece.data) for piece in pieces), default=0) <= 256 << 10
        assert hashlib.sha256(data).hexdigest() == header.header.content_sha256
        self.ingested[header.header.external_id] = (header.header, data)
        document = vector_pb2.Document(
            document_id=f"doc-{header.header.external_id}", collection_id=header.header.collection_id
        )
        for stage in (vector_pb2.INGEST_STAGE_RECEIVED, vector_pb2.INGEST_STAGE_COMMITTED):
            yield vector_pb2.IngestDocumentResponse(stage=stage, document=document)

    async def EmbedTexts(self, request: Any, rpc: Any) -> vector_pb2.EmbedTextsResponse:
        await self.faults.meet("EmbedTexts")
        assert 1 <= len(request.texts) <= 256
        return vector_pb2.EmbedTextsResponse(
            embeddings=[vector_pb2.Embedding(values=bag_vector(text)) for text in request.texts],
            embedding_model="bag",
            similarity_factor=self.similarity[0],
            similarity_offset=self.similarity[1],
        )

    async def VerifyCitations(self, request: Any, rpc: Any) -> vector_pb2.VerifyCitationsResponse:
        await self.faults.meet("VerifyCitations")
        self.verified += request.citations
        return vector_pb2.VerifyCitationsResponse(
            verdicts=[
                vector_pb2.CitationVerdict(verified=self._stands(citation)) for citation in request.citations
            ]
        )

    def _stands(self, citation: vector_pb2.Citation) -> bool:
        if any(word in citation.quote for word in self.forged):
            return False
        for hits in self.collections.values():
            for hit in hits:
                if (hit.document_id, hit.extraction_sha256) == (
                    citation.document_id,
                    citation.extraction_sha256,
                ):
                    first = citation.span.byte_start - hit.span.byte_start
                    last = citation.span.byte_end - hit.span.byte_start
                    return hit.text.encode()[first:last] == citation.quote.encode() and first >= 0
        return False


class SessionNeighbour(session_pb2_grpc.SessionServiceServicer):
    """Sessions, messages and runs."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.sessions: dict[str, session_pb2.Session] = {}
        self.messages: dict[str, list[session_pb2.Message]] = {}
        self.appended: dict[tuple[str, str], bytes] = {}
        self.runs: dict[str, session_pb2.Run] = {}
        self.events: dict[str, list[session_pb2.RunEvent]] = {}
        self.entries: dict[str, list[session_pb2.RunEntry]] = {}
        self.appends: list[session_pb2.AppendRunEventsRequest] = []
        # By id: what is known of a file, and its bytes.
        self.attachments: dict[str, tuple[session_pb2.Attachment, bytes]] = {}
        self.kept: dict[str, str] = {}
        # By kind and name.
        self.items: dict[tuple[str, str], session_pb2.Item] = {}
        self.metadata: list[dict[str, str]] = []

    def open(self, session_id: str, *collection_ids: str) -> None:
        """A session without messages."""
        self.sessions[session_id] = session_pb2.Session(session_id=session_id, collection_ids=collection_ids)
        self.messages[session_id] = []

    def say(self, session_id: str, role: int, text: str) -> None:
        """Appends a message."""
        messages = self.messages[session_id]
        messages.append(session_pb2.Message(role=role, text=text, sequence=len(messages) + 1))

    async def PutItem(self, request: Any, rpc: Any) -> session_pb2.PutItemResponse:
        await self.faults.meet("PutItem")
        named = {"kind": request.item.kind, "name": request.item.name}
        known = self.items.get((request.item.kind, request.item.name))
        if known is None and request.previous_revision > 0:
            raise NotFoundError("no item", reason="ITEM_NOT_FOUND", metadata=named)
        if known is not None and request.previous_revision == 0:
            raise AlreadyExistsError("there is one", reason="ITEM_EXISTS", metadata=named)
        if known is not None and request.previous_revision not in (-1, known.revision):
            raise AbortedError(
                "changed", reason="ITEM_CHANGED", metadata=named | {"revision": str(known.revision)}
            )
        kept = session_pb2.Item()
        kept.CopyFrom(request.item)
        kept.revision = 1 if known is None else known.revision + 1
        self.items[kept.kind, kept.name] = kept
        return session_pb2.PutItemResponse(item=kept)

    async def ListItems(self, request: Any, rpc: Any) -> session_pb2.ListItemsResponse:
        await self.faults.meet("ListItems")
        return session_pb2.ListItemsResponse(
            items=[
                item
                for (kind, name), item in sorted(self.items.items())
                if kind == request.kind and request.name in ("", name)
            ]
        )

    async def DeleteItem(self, request: Any, rpc: Any) -> session_pb2.DeleteItemResponse:
        await self.faults.meet("DeleteItem")
        if self.items.pop((request.kind, request.name), None) is None:
            raise NotFoundError(
                "no item", reason="ITEM_NOT_FOUND", metadata={"kind": request.kind, "name": request.name}
            )
        return session_pb2.DeleteItemResponse()

    def _session(self, session_id: str) -> session_pb2.Session:
        if session_id not in self.sessions:
            raise NotFoundError("no session", reason="SESSION_NOT_FOUND", metadata={"session_id": session_id})
        return self.sessions[session_id]

    async def GetSession(self, request: Any, rpc: Any) -> session_pb2.GetSessionResponse:
        self.metadata.append(dict(rpc.invocation_metadata()))
        await self.faults.meet("GetSession")
        return session_pb2.GetSessionResponse(session=self._session(request.session_id))

    async def UpdateSession(self, request: Any, rpc: Any) -> session_pb2.UpdateSessionResponse:
        await self.faults.meet("UpdateSession")
        found = self._session(request.session_id)
        if request.HasField("metadata"):
            found.metadata.CopyFrom(request.metadata)
        return session_pb2.UpdateSessionResponse(session=found)

    async def ListMessages(self, request: Any, rpc: Any) -> session_pb2.ListMessagesResponse:
        await self.faults.meet("ListMessages")
        self._session(request.session_id)
        return session_pb2.ListMessagesResponse(
            messages=self.messages[request.session_id][-request.page_size :]
        )

    async def AppendMessage(self, request: Any, rpc: Any) -> session_pb2.AppendMessageResponse:
        await self.faults.meet("AppendMessage")
        self._session(request.session_id)
        key = (request.session_id, request.request_id)
        content = request.SerializeToString(deterministic=True)
        if key in self.appended:
            if self.appended[key] != content:
                raise FailedPreconditionError("other content", reason="REQUEST_ID_REUSED")
            return session_pb2.AppendMessageResponse(existing=True)
        self.appended[key] = content
        messages = self.messages[request.session_id]
        for message in request.messages:
            message.sequence = len(messages) + 1
            messages.append(message)
        return session_pb2.AppendMessageResponse(messages=request.messages)

    async def CreateRun(self, request: Any, rpc: Any) -> session_pb2.CreateRunResponse:
        await self.faults.meet("CreateRun")
        run = request.run
        known = self.runs.get(run.run_id)
        if known is None:
            if run.session_id:
                self._session(run.session_id)
            known = session_pb2.Run()
            known.CopyFrom(run)
            known.state = session_pb2.RUN_STATE_RUNNING
            known.create_time.GetCurrentTime()
            self.runs[run.run_id], self.events[run.run_id], self.entries[run.run_id] = known, [], []
        elif (known.request, known.session_id) != (run.request, run.session_id):
            raise FailedPreconditionError("other content", reason="REQUEST_ID_REUSED")
        return session_pb2.CreateRunResponse(run=known)

    async def AppendRunEvents(self, request: Any, rpc: Any) -> session_pb2.AppendRunEventsResponse:
        await self.faults.meet("AppendRunEvents")
        run = self._run(request.run_id)
        events, entries = self.events[request.run_id], self.entries.setdefault(request.run_id, [])
        if run.state in ENDED:
            raise FailedPreconditionError("ended", reason="RUN_ENDED")
        if request.owner and run.owner and request.owner != run.owner:
            raise FailedPreconditionError("taken", reason="RUN_TAKEN", metadata={"owner": run.owner})
        for entry in request.entries:
            if entry.position <= len(entries):
                continue
            if entry.position != len(entries) + 1:
                raise AbortedError("a gap", reason="SEQUENCE_CONFLICT")
            entries.append(entry)
        run.last_position = len(entries)
        self.appends.append(request)
        for event in request.events:
            if event.sequence <= len(events):
                continue
            if event.sequence != len(events) + 1:
                raise AbortedError("a gap", reason="SEQUENCE_CONFLICT")
            events.append(event)
        run.last_sequence = len(events)
        run.agent_id = request.agent_id or run.agent_id
        run.state = request.state or run.state
        return session_pb2.AppendRunEventsResponse(last_sequence=run.last_sequence)

    async def TakeRun(self, request: Any, rpc: Any) -> session_pb2.TakeRunResponse:
        await self.faults.meet("TakeRun")
        run = self._run(request.run_id)
        if run.state in ENDED:
            raise FailedPreconditionError("ended", reason="RUN_ENDED")
        if run.owner != request.owner:
            if run.owner != request.previous_owner:
                raise FailedPreconditionError("taken", reason="RUN_TAKEN", metadata={"owner": run.owner})
            run.owner, run.takeovers = request.owner, run.takeovers + 1
        return session_pb2.TakeRunResponse(run=run)

    async def ListRunEntries(self, request: Any, rpc: Any) -> session_pb2.ListRunEntriesResponse:
        await self.faults.meet("ListRunEntries")
        self._run(request.run_id)
        return session_pb2.ListRunEntriesResponse(entries=self.entries.get(request.run_id, []))

    async def ListRuns(self, request: Any, rpc: Any) -> session_pb2.ListRunsResponse:
        await self.faults.meet("ListRuns")
        return session_pb2.ListRunsResponse(
            runs=[run for run in self.runs.values() if run.state == request.state]
        )

    async def GetRun(self, request: Any, rpc: Any) -> session_pb2.GetRunResponse:
        await self.faults.meet("GetRun")
        return session_pb2.GetRunResponse(run=self._run(request.run_id))

    async def WatchRun(self, request: Any, rpc: Any) -> AsyncIterator[session_pb2.WatchRunResponse]:
        await self.faults.meet("WatchRun")
        run = self._run(request.run_id)
        yield session_pb2.WatchRunResponse(
            events=self.events[request.run_id][request.after_sequence :], state=run.state
        )

    def attach(
        self, filename: str, media_type: str, data: bytes, *, attachment_id: str = "", **fields: str
    ) -> str:
        """A file that is there; its id."""
        attachment_id = attachment_id or f"att_{len(self.attachments) + 1:026}"
        known = session_pb2.Attachment(
            attachment_id=attachment_id,
            filename=filename,
            media_type=media_type,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            **fields,  # type: ignore[arg-type] # session_id, run_id
        )
        self.attachments[attachment_id] = (known, data)
        return attachment_id

    async def PutAttachment(self, request_iterator: Any, rpc: Any) -> session_pb2.PutAttachmentResponse:
        await self.faults.meet("PutAttachment")
        first, *pieces = [message async for message in request_iterator]
        header, existing = first.header, bool(first.request_id) and first.request_id in self.kept
        if not existing:
            self.kept[first.request_id] = self.attach(
                header.filename,
                header.media_type,
                b"".join(piece.data for piece in pieces),
                session_id=header.session_id,
                run_id=header.run_id,
            )
        known, _ = self.attachments[self.kept[first.request_id]]
        return session_pb2.PutAttachmentResponse(attachment=known, existing=existing)

    async def GetAttachment(self, request: Any, rpc: Any) -> session_pb2.GetAttachmentResponse:
        await self.faults.meet("GetAttachment")
        return session_pb2.GetAttachmentResponse(attachment=self._attachment(request.attachment_id)[0])

    async def ReadAttachment(
        self, request: Any, rpc: Any
    ) -> AsyncIterator[session_pb2.ReadAttachmentResponse]:
        await self.faults.meet("ReadAttachment")
        known, data = self._attachment(request.attachment_id)
        data = data[request.byte_start : request.byte_end or None]
        yield session_pb2.ReadAttachmentResponse(attachment=known, data=data[: 256 << 10])
        for place in range(256 << 10, len(data), 256 << 10):
            yield session_pb2.ReadAttachmentResponse(data=data[place : place + (256 << 10)])

    def _attachment(self, attachment_id: str) -> tuple[session_pb2.Attachment, bytes]:
        if attachment_id not in self.attachments:
            raise NotFoundError("no attachment", reason="ATTACHMENT_NOT_FOUND")
        return self.attachments[attachment_id]

    def _run(self, run_id: str) -> session_pb2.Run:
        if run_id not in self.runs:
            raise NotFoundError("no run", reason="RUN_NOT_FOUND", metadata={"run_id": run_id})
        return self.runs[run_id]


def unavailable() -> UnavailableError:
    """What a service says whose store is down."""
    return UnavailableError("the store does not answer", reason="STORE_UNAVAILABLE")


@asynccontextmanager
async def hosted(name: str, servicer: Any, port: int = 0) -> AsyncIterator[str]:
    """The address of a server that hosts the neighbour."""
    match servicer:
        case VectorNeighbour():
            descriptor = vector_pb2.DESCRIPTOR.services_by_name["VectorService"]
            add = vector_pb2_grpc.add_VectorServiceServicer_to_server
        case _:
            descriptor = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
            add = session_pb2_grpc.add_SessionServiceServicer_to_server
    server = Server(
        name=name,
        services=[Hosted(descriptor, lambda inner: add(servicer, inner))],
        dependencies=[],
        settings=ServiceSettings(),
        bind=f"127.0.0.1:{port}",
    )
    bound = await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The address of something that accepts connections and never says a word, as a stopped process does."""
    held: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()


def texts_of(hits: Sequence[vector_pb2.Hit]) -> list[str]:
    """The texts of hits."""
    return [hit.text for hit in hits]
