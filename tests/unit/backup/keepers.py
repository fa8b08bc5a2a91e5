"""The two services that keep something, scripted: real gRPC servers on loopback, data in memory."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import timestamp_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis.errors import DETAILS_KEY, AbortedError, NotFoundError, ServiceError, to_status
from services.chassis.snapshot import Manifest, Unpacking, describe, pack

KEY = b"key of the tests"


@dataclass
class Kept:
    """What a scripted service keeps, and how it fails.

    items: texts by id. of_others: ids that no list shows. loses: ids that an import drops
    although it answers with all. ends: when sessions expire, in seconds since 1970, by id;
    the others do not for long. refusals: raised by the next imports, one each. cut: an export ends
    with an error after its first piece. calls: (method, request id of an import).
    """

    name: str
    kinds: tuple[str, ...]
    items: dict[str, str] = field(default_factory=dict)
    of_others: set[str] = field(default_factory=set)
    loses: set[str] = field(default_factory=set)
    ends: dict[str, float] = field(default_factory=dict)
    refusals: list[ServiceError] = field(default_factory=list)
    cut: bool = False
    serving: bool = True
    blocked: threading.Event | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def snapshot(self) -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "items.json"
            path.write_text(json.dumps(self.items))
            manifest = Manifest(
                self.name,
                1,
                datetime.now(UTC),
                {kind: len(self.items) for kind in self.kinds},
                (describe(path, "items.json"),),
            )
            return list(pack(manifest, [path], KEY))

    def export(self, responses: Any, rpc: Any) -> Iterator[Any]:
        self.calls.append(("export", ""))
        for piece in self.snapshot():
            yield responses(data=piece)
            if self.cut:
                abort(rpc, AbortedError("cut", reason="IMPORT_RUNNING"), self.name)
        if self.blocked is not None:
            self.blocked.wait(30)

    def take(self, requests: Any, rpc: Any) -> int:
        data, request_id = b"", ""
        for request in requests:
            data += request.data
            request_id = request_id or request.request_id
        self.calls.append(("import", request_id))
        if self.refusals:
            abort(rpc, self.refusals.pop(0), self.name)
        with tempfile.TemporaryDirectory() as folder:
            unpacking = Unpacking(Path(folder), self.name, KEY, 1 << 30)
            unpacking.feed(data)
            unpacking.finish()
            taken = json.loads((Path(folder) / "items.json").read_text())
        self.items = {name: text for name, text in taken.items() if name not in self.loses}
        return len(taken)


def abort(rpc: Any, error: ServiceError, name: str) -> None:
    status = to_status(error, f"{name}.meldrag")
    rpc.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
    rpc.abort(error.code, error.message)


class Sessions(session_pb2_grpc.SessionServiceServicer):
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def ExportSnapshot(self, request: Any, context: Any) -> Any:
        return self._kept.export(session_pb2.ExportSnapshotResponse, context)

    def ImportSnapshot(self, request_iterator: Any, context: Any) -> Any:
        return session_pb2.ImportSnapshotResponse(sessions=self._kept.take(request_iterator, context))

    def ListSessions(self, request: Any, context: Any) -> Any:
        """A session a page."""
        place = int(request.page_token or 0)
        names = [name for name in self._kept.items if name not in self._kept.of_others]
        return session_pb2.ListSessionsResponse(
            sessions=map(self._session, names[place : place + 1]),
            next_page_token=str(place + 1) if place + 1 < len(names) else "",
        )

    def GetSession(self, request: Any, context: Any) -> Any:
        if request.session_id not in self._kept.items:
            abort(context, NotFoundError("no", reason="SESSION_NOT_FOUND"), "session")
        return session_pb2.GetSessionResponse(session=self._session(request.session_id))

    def ListMessages(self, request: Any, context: Any) -> Any:
        assert request.newest
        text = self._kept.items[request.session_id]
        return session_pb2.ListMessagesResponse(messages=[session_pb2.Message(sequence=1, text=text)])

    def _session(self, name: str) -> Any:
        ends = timestamp_pb2.Timestamp()
        ends.FromSeconds(int(self._kept.ends.get(name, time.time() + 86_400)))
        return session_pb2.Session(session_id=name, title=f"of {name}", messages=1, expire_time=ends)


class Documents(vector_pb2_grpc.VectorServiceServicer):
    """Finds the documents that hold most words of a query, one passage each."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def ExportSnapshot(self, request: Any, context: Any) -> Any:
        return self._kept.export(vector_pb2.ExportSnapshotResponse, context)

    def ImportSnapshot(self, request_iterator: Any, context: Any) -> Any:
        return vector_pb2.ImportSnapshotResponse(documents=self._kept.take(request_iterator, context))

    def ListCollections(self, request: Any, context: Any) -> Any:
        return vector_pb2.ListCollectionsResponse(
            collections=[
                vector_pb2.Collection(
                    collection_id="all", **{kind: len(self._kept.items) for kind in self._kept.kinds}
                )
            ]
        )

    def ListDocuments(self, request: Any, context: Any) -> Any:
        return vector_pb2.ListDocumentsResponse(
            documents=[
                vector_pb2.Document(
                    document_id=name,
                    collection_id="all",
                    text_bytes=len(text),
                    create_time=timestamp_pb2.Timestamp(seconds=place),
                )
                for place, (name, text) in reversed(list(enumerate(self._kept.items.items(), 1)))
            ]
        )

    def ReadDocumentText(self, request: Any, context: Any) -> Any:
        yield vector_pb2.ReadDocumentTextResponse(text=self._kept.items[request.document_id])

    def Search(self, request: Any, context: Any) -> Any:
        assert request.mode == vector_pb2.SEARCH_MODE_LEXICAL
        words = set(request.query.split())
        scored = [
            (-len(words & set(text.split())), name, text)
            for place, (name, text) in enumerate(self._kept.items.items(), 1)
            if words & set(text.split()) and place <= request.filter.max_create_time.seconds
        ]
        return vector_pb2.SearchResponse(
            hits=[
                vector_pb2.Hit(
                    document_id=name,
                    extraction_sha256=f"sha of {text}",
                    span=vector_pb2.Span(byte_start=0, byte_end=len(text)),
                )
                for _, name, text in sorted(scored)[: request.top_k]
            ]
        )


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def Check(self, request: Any, context: Any) -> Any:
        states = health_pb2.HealthCheckResponse
        return states(status=states.SERVING if self._kept.serving else states.NOT_SERVING)


@contextmanager
def served(kept: Kept) -> Iterator[str]:
    """A server for it; its address."""
    server = grpc.server(ThreadPoolExecutor(8))
    if kept.name == "vector":
        vector_pb2_grpc.add_VectorServiceServicer_to_server(Documents(kept), server)
    else:
        session_pb2_grpc.add_SessionServiceServicer_to_server(Sessions(kept), server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(kept), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0)
