"""A vector service for tests: the real one, with an embedding model whose vectors can be foretold."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.chassis import roles
from services.chassis.context import LOCAL_OWNER, Principal
from services.chassis.errors import ServiceError, from_rpc_error
from services.vector.application import Application
from services.vector.embedding.ports import (
    EmbedderTextError,
    EmbedderUnavailableError,
    Span,
    Vector,
    Vectors,
    WordVectors,
)
from services.vector.embedding.scale import BUILT_IN, Scale
from services.vector.hosting import vector_server
from services.vector.models import ConfiguredModel
from services.vector.settings import VectorSettings
from services.vector.switch import Switch
from tests.support.waits import promised

PIECE = 256 * 1024


class WordEmbedder:
    """A model whose texts are near when they share words: every word is a fixed random direction.

    `down` makes it fail; `gate` holds passages back until it is set; `passages` are the texts it was given.
    """

    def __init__(self, model: str = "words", dimension: int = 64, revision: str = "") -> None:
        self.model = model
        self.dimension = dimension
        self.revision = revision
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.passages: list[str] = []
        self.refused: set[str] = set()

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        vector: Vector = self.embed_queries([text], deadline=deadline)[0]
        return vector

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        self._check()
        return np.stack([self.vector(text) for text in texts])

    def embed_texts(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        return self.embed_queries(texts, deadline=deadline)

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        if not self.gate.wait(max(0.0, deadline - time.monotonic())):
            raise EmbedderUnavailableError("held back")
        self._check()
        if self.refused.intersection(texts):
            raise EmbedderTextError("a text that it does not take")
        self.passages += texts
        return np.stack([self.vector(text) for text in texts])

    def scale(self) -> Scale:
        return BUILT_IN

    def ping(self, *, deadline: float) -> None:
        self._check()

    def vector(self, text: str) -> Vectors:
        total = np.zeros(self.dimension, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            name = word if self.model == "words" else f"{self.model} {word}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
            total += np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
        return total / max(float(np.linalg.norm(total)), 1e-9)

    def _check(self) -> None:
        if self.down:
            raise EmbedderUnavailableError("switched off")


class TellingEmbedder(WordEmbedder):
    """The same model, which tells of single words too. `meanings`: words that mean what another one does."""

    def __init__(self, meanings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._meanings = meanings or {}

    def embed_question_words(self, text: str, *, deadline: float) -> tuple[Vector, WordVectors]:
        return self.embed_question(text, deadline=deadline), self._words(text)

    def embed_passage_words(
        self, texts: Sequence[str], *, deadline: float
    ) -> tuple[Vectors, list[WordVectors]]:
        return self.embed_passages(texts, deadline=deadline), [self._words(text) for text in texts]

    def passage_spans(self, texts: Sequence[str]) -> list[list[Span]]:
        return [list(self._words(text).spans) for text in texts]

    def _words(self, text: str) -> WordVectors:
        found = list(re.finditer(r"\w+", text))
        means = [self._meanings.get(match.group().lower(), match.group().lower()) for match in found]
        return WordVectors(
            [match.span() for match in found], np.stack([WordEmbedder.vector(self, word) for word in means])
        )


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


async def tenant_of_header(metadata: Mapping[str, str]) -> Principal:
    """Who the test says that calls, else the owner."""
    role = metadata.get("x-role", roles.OWNER)
    return Principal(
        metadata.get("x-tenant", LOCAL_OWNER.tenant_id),
        metadata.get("x-subject", LOCAL_OWNER.subject),
        roles.scopes_of(role),
        frozenset(metadata.get("x-groups", "").split()),
        role,
    )


def settings_for(folder: Path, **values: Any) -> VectorSettings:
    return VectorSettings(meld_data_dir=folder, **values)


@dataclass
class Client:
    """The stub with the long-winded calls made short. Errors are raised as the service raised them."""

    stub: vector_pb2_grpc.VectorServiceStub
    switch: Switch
    channel: grpc.aio.Channel
    tenant: str = LOCAL_OWNER.tenant_id
    subject: str = LOCAL_OWNER.subject
    role: str = roles.OWNER
    groups: str = ""

    @property
    def application(self) -> Application:
        return self.switch.application

    def of(self, tenant: str) -> Client:
        return replace(self, tenant=tenant)

    def person(self, subject: str, groups: str = "", role: str = roles.MEMBER) -> Client:
        """Somebody else of the same tenant. groups: with blanks between."""
        return replace(self, subject=subject, groups=groups, role=role)

    async def call(self, method: str, request: Any, seconds: float = 20.0) -> Any:
        with translated():
            return await getattr(self.stub, method)(request, timeout=seconds, metadata=self.metadata)

    async def stream(self, method: str, request: Any, seconds: float = 30.0) -> list[Any]:
        for _ in range(10):
            try:
                with translated():
                    call = getattr(self.stub, method)(request, timeout=seconds, metadata=self.metadata)
                    return [one async for one in call]
            except ServiceError as error:
                # grpc.aio's client, often on a busy machine in calls that the server ends while the client
                # still sends: the status that came is thrown away.
                if error.message != "Internal error from Core" or not isinstance(request, list):
                    raise
        raise AssertionError("the channel lost ten statuses in a row")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (
            ("x-tenant", self.tenant),
            ("x-subject", self.subject),
            ("x-role", self.role),
            ("x-groups", self.groups),
        )

    async def create(self, collection_id: str = "books", **fields: Any) -> pb.Collection:
        request = pb.CreateCollectionRequest(collection_id=collection_id, **fields)
        return (await self.call("CreateCollection", request)).collection

    async def ingest(
        self, data: bytes | str, *, collection_id: str = "books", filename: str = "a.txt", **fields: Any
    ) -> list[pb.IngestDocumentResponse]:
        raw = data.encode() if isinstance(data, str) else data
        header = pb.IngestHeader(collection_id=collection_id, filename=filename, **fields)
        return await self.stream("IngestDocument", ingest_requests(header, raw))

    async def ready(self, data: bytes | str, **fields: Any) -> pb.Document:
        return (await self.ingest(data, wait_ready=True, **fields))[-1].document

    async def import_all(
        self, documents: Iterable[Mapping[str, Any]], collection_id: str = "books"
    ) -> list[pb.ImportDocumentsResponse]:
        requests = [
            pb.ImportDocumentsRequest(collection_id=collection_id, **document) for document in documents
        ]
        return await self.stream("ImportDocuments", requests)

    async def search(self, query: str, **fields: Any) -> pb.SearchResponse:
        fields.setdefault("collection_ids", ["books"])
        return await self.call("Search", pb.SearchRequest(query=query, **fields))

    async def get(self, document_id: str, collection_id: str = "books") -> pb.Document:
        request = pb.GetDocumentRequest(collection_id=collection_id, document_id=document_id)
        return (await self.call("GetDocument", request)).document

    async def list(self, collection_id: str = "books", **fields: Any) -> list[pb.Document]:
        request = pb.ListDocumentsRequest(collection_id=collection_id, **fields)
        return list((await self.call("ListDocuments", request)).documents)

    async def delete(self, document_id: str, collection_id: str = "books") -> pb.DeletionReceipt:
        request = pb.DeleteDocumentRequest(collection_id=collection_id, document_id=document_id)
        return (await self.call("DeleteDocument", request)).receipt

    async def text(self, document_id: str, collection_id: str = "books") -> bytes:
        request = pb.ReadDocumentTextRequest(collection_id=collection_id, document_id=document_id)
        return b"".join(piece.text.encode() for piece in await self.stream("ReadDocumentText", request))


class translated:  # noqa: N801 # reads as a clause
    """Turns the channel's errors into the ServiceError that was raised behind it."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            raise from_rpc_error(error) from None


def ingest_requests(header: pb.IngestHeader, data: bytes) -> list[pb.IngestDocumentRequest]:
    pieces = [pb.IngestDocumentRequest(data=data[at : at + PIECE]) for at in range(0, len(data), PIECE)]
    return [pb.IngestDocumentRequest(header=header), *pieces]


@asynccontextmanager
async def running(
    folder: Path,
    embedder: Any = None,
    count_tokens: Any = count_words,
    others: Sequence[Any] = (),
    passage_tokens: Any = None,
    **values: Any,
) -> AsyncIterator[Client]:
    """A service on a free port over `folder`, until the block ends. others: models beside the configured."""
    settings = settings_for(folder, **values)
    model = ConfiguredModel(embedder or WordEmbedder(), count_tokens, tuple(others), passage_tokens)
    async with vector_server(settings, model, "127.0.0.1:0", tenant_of_header) as (server, switch):
        port = await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Client(vector_pb2_grpc.VectorServiceStub(channel), switch, channel)
        finally:
            await server.stop(0)


async def eventually(condition: Any, seconds: float = 30.0) -> Any:
    """The first true value of `await condition()`. Fails after `seconds`, as `promised`."""
    seconds = promised(seconds)
    end = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.05)
    return value


async def all_ready(client: Client) -> bool:
    """Whether every document is ready, but for those that a kill interrupted on their way in."""
    ended = (pb.DOCUMENT_STATE_READY, pb.DOCUMENT_STATE_FAILED)
    return all(one.state in ended for one in await client.list(page_size=1000))


async def walk(client: Client, method: str = "CheckIndex", **fields: Any) -> list[pb.IndexFault]:
    """The faults of all pages of CheckIndex, or of RepairIndex."""
    kind = getattr(pb, f"{method}Request")
    faults: list[pb.IndexFault] = []
    token = ""
    for _ in range(200):
        answer = await client.call(method, kind(page_token=token, **fields), seconds=60)
        faults += answer.faults
        token = answer.next_page_token
        if not token:
            return faults
    raise AssertionError("no end")


def refused(error: ServiceError) -> tuple[str, str]:
    """Code and reason of an error."""
    return error.code.name, error.reason
