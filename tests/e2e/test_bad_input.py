"""Bad input at the door of the house and at the services behind it: the rows of tests/contract/rows.py.

Each answer is a problem that names its request and shows nothing of the inside, comes soon, and leaves the
house as it was: the next good request works.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis.errors import from_rpc_error
from tests.support.launched import House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

# Promised are 2 s; a busy machine gets more.
SOON = 10.0
JSON = {"Content-Type": "application/json"}
LOOKALIKE = "c\u043ellection"  # a Cyrillic o


@dataclass(frozen=True)
class Bad:
    """A request and the statuses that it may be answered with."""

    row: int
    name: str
    path: str
    status: tuple[int, ...] = (400,)
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


def run(row: int, name: str, status: tuple[int, ...] = (400,), **body: Any) -> Bad:
    return Bad(row, name, "/runs", status, {"message": "How deep?", "agent": "research", **body})


def raw(row: int, name: str, data: bytes, status: tuple[int, ...] = (400,), **headers: str) -> Bad:
    return Bad(row, name, "/runs", status, raw=data, headers={**JSON, **headers})


def search(row: int, name: str, status: tuple[int, ...] = (400,), **body: Any) -> Bad:
    return Bad(row, name, "/collections/rows/search", status, {"query": "deep", **body})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


CITATION = {"document_id": "d", "extraction_sha256": "e", "byte_start": 0, "byte_end": 1, "quote": "x"}
BAD = [
    raw(1, "truncated", b'{"message": "a'),
    raw(1, "no JSON", b"message=a"),
    raw(2, "array", b"[1]"),
    raw(2, "number", b"5"),
    raw(2, "null", b"null"),
    raw(3, "name twice", b'{"message": "a", "message": "b"}'),
    raw(3, "NaN", b'{"message": "a", "temperature": NaN}'),
    raw(3, "1e999", b'{"message": "a", "temperature": 1e999}'),
    raw(4, "100,000 brackets", b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    Bad(5, "text", "/runs", (415,), raw=b'{"message": "a"}', headers={"Content-Type": "text/plain"}),
    Bad(5, "no type", "/runs", (415,), raw=b'{"message": "a"}'),
    raw(6, "no UTF-8", b'{"message": "\xff"}'),
    raw(6, "half a surrogate", b'{"message": "\\ud800"}'),
    run(7, "NUL in the question", message="a\0b"),
    Bad(7, "NUL in a title", "/sessions", body={"title": "a\0b"}),
    run(7, "NUL in an id", session_id="a\0b"),
    run(8, "empty", message=""),
    run(8, "blanks", message=" \t\n\u00a0"),
    run(8, "of no width", message="\u200b\u200d\ufeff"),
    run(9, "one too many", message="m" * 32_001),
    run(9, "10 MB", (413,), message="m" * 10_000_000),
    run(10, "nobody", (404,), agent="nobody"),
    *(run(11, repr(value), top_k=value) for value in (0, -1, 10**9, "5", 2.5, True)),
    *(search(11, f"search {value!r}", top_k=value) for value in (0, -1, 10**9, "5", 2.5, True)),
    run(12, "-1", temperature=-1),
    run(12, "3", temperature=3),
    run(13, "unknown", tenant="other"),
    run(13, "10,000 fields", **{f"field_{number}": 1 for number in range(10_000)}),
    Bad(14, "declared too long", "/runs", (413,), raw=b" " * 2_000_000, headers=JSON),
    search(36, "$or", filter={"$or": [{"a": 1}]}),
    search(36, "$ne", filter={"metadata": {"tenant": {"$ne": "me"}}}),
    search(36, "operator", filter={"metadata": {"year": {"$near": 1}}}),
    search(36, "50 levels", filter={"metadata": nested(50)}),
    *(
        Bad(37, repr(name)[:20], "/collections", body={"name": name})
        for name in ("..", "a", "c" * 600, LOOKALIKE, "-ab", "ab.", "a..b", "a/b", "")
    ),
    Bad(
        39,
        "no line",
        "/collections/rows/documents/import",
        raw=b"\n",
        headers={"Content-Type": "application/x-ndjson"},
    ),
    Bad(39, "no citation", "/citations/verify", body={"citations": []}),
    Bad(39, "10,001 citations", "/citations/verify", (400, 413, 429), {"citations": [CITATION] * 10_001}),
    *(
        Bad(41, repr(key)[:12], path, body=body, headers={"Idempotency-Key": key})
        for key in ("k" * 300, "a\tb")
        for path, body in (("/sessions", {}), ("/collections/rows/search", {"query": "a"}), ("/runs", {}))
    ),
    *(
        Bad(66, f"{path} {query}", f"{path}?{query}", method="GET")
        for path in (
            "/sessions",
            "/collections",
            "/collections/rows/documents",
            "/runs",
            "/agents",
            "/workflows",
        )
        for query in (
            "page_token=forged",
            "page_size=-1",
            "page_size=0",
            "page_size=1000000000",
            "page_token=-1",
        )
    ),
    *(
        Bad(67, repr(session)[:20], "/runs", body={"message": "a", "session_id": session})
        for session in ("a:b", "*", "{}", "s" * 65, "../x")
    ),
    Bad(67, "of 10 MB", "/runs", (413,), {"message": "a", "session_id": "s" * 10_000_000}),
    Bad(67, "in the path", "/sessions/a%3A%2A%7B%7D", method="GET"),
    *(
        Bad(68, repr(event), "/runs/{run}/events", headers={"Last-Event-ID": event}, method="GET")
        for event in ("x", "-1", "1.5", "9" * 20)
    ),
    Bad(68, "no such run", "/runs/run_00000000000000000000000000/events", (404,), method="GET"),
]


@dataclass(frozen=True)
class Scene:
    """The house with a collection, and a recorded run."""

    house: House
    run_id: str


@pytest.fixture(scope="module")
def scene(house: House) -> Scene:
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        assert http.post("/collections", json={"id": "rows"}).status_code in (201, 409)
        taken = http.post(
            "/collections/rows/documents", files={"file": ("a.txt", b"The harbour is nine metres deep.")}
        )
        assert taken.status_code == 202
        ran = http.post("/runs", json={"agent": "research", "message": "How deep?", "collections": ["rows"]})
        assert ran.status_code == 200
    return Scene(house, ran.json()["run_id"])


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"row {bad.row}: {bad.name}")
def test_bad_input_gets_its_answer_at_the_door(scene: Scene, bad: Bad) -> None:
    content = json.dumps(bad.body).encode() if bad.raw is None and bad.body is not None else bad.raw
    headers = {**(JSON if bad.raw is None and bad.body is not None else {}), **bad.headers}
    url = f"{scene.house.base_url}/api/v1{bad.path.replace('{run}', scene.run_id)}"
    with httpx.Client(timeout=SOON) as http:
        request = http.build_request(bad.method, url, content=content, headers=headers)
        answer = http.send(request)
        assert answer.status_code in bad.status, answer.text[:300]
        problem = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["reason"]
        assert problem["detail"]
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        assert "Traceback" not in answer.text
        assert len(answer.content) < 4000
        assert http.get(f"{scene.house.base_url}/api/v1/collections/rows").status_code == 200


def test_a_key_is_for_one_request_and_one_at_a_time(scene: Scene) -> None:
    """Row 41: the same key with another body; the same key while the first is still at work."""
    with httpx.Client(base_url=f"{scene.house.base_url}/api/v1", timeout=30) as http:
        key = {"Idempotency-Key": f"rows-{time.monotonic_ns()}"}
        first = http.post("/sessions", json={"title": "a"}, headers=key)
        again = http.post("/sessions", json={"title": "a"}, headers=key)
        assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
        other = http.post("/sessions", json={"title": "b"}, headers=key)
        assert (other.status_code, other.json()["reason"]) == (422, "REQUEST_ID_REUSED")


SEARCH = "/meldrag.vector.v1.VectorService/Search"
NO_NUMBER = float("nan")


def filtered(condition: Any) -> vector_pb2.Filter:
    made = struct_pb2.Struct()
    made.update({"a": condition})
    return vector_pb2.Filter(metadata=made)


def asked(**fields: Any) -> vector_pb2.SearchRequest:
    return vector_pb2.SearchRequest(**{"collection_ids": ["rows"], "query": "deep", **fields})


def ran(**fields: Any) -> agents_pb2.RunAgentRequest:
    return agents_pb2.RunAgentRequest(**{"agent_id": "research", "message": "How deep?", **fields})


INVALID = grpc.StatusCode.INVALID_ARGUMENT
CALLS: list[tuple[int, str, Any, grpc.StatusCode]] = [
    (3, "NaN", asked(similarity_threshold=NO_NUMBER), INVALID),
    (7, "NUL in a question", ran(message="a\0b"), INVALID),
    (7, "NUL in a query", asked(query="a\0b"), INVALID),
    (7, "NUL in a title", session_pb2.CreateSessionRequest(title="a\0b"), INVALID),
    (8, "blanks", ran(message=" \n"), INVALID),
    (8, "of no width", ran(message="\u200b"), INVALID),
    (9, "one too many", ran(message="m" * 32_001), INVALID),
    (9, "10 MB", ran(message="m" * 10_000_000), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (10, "nobody", ran(agent_id="nobody"), grpc.StatusCode.NOT_FOUND),
    (11, "0", ran(top_k=0), INVALID),
    (11, "-1", asked(top_k=-1), INVALID),
    (11, "10^9", asked(top_k=10**9), INVALID),
    (12, "-1", ran(temperature=-1), INVALID),
    (12, "3", ran(temperature=3), INVALID),
    (12, "NaN", ran(temperature=NO_NUMBER), INVALID),
    (36, "a list", asked(filter=filtered([1])), INVALID),
    (36, "an operator", asked(filter=filtered({"$ne": "me"})), INVALID),
    (37, "..", vector_pb2.CreateCollectionRequest(collection_id=".."), INVALID),
    (37, "a look-alike", vector_pb2.CreateCollectionRequest(collection_id=LOOKALIKE), INVALID),
    (39, "nothing", vector_pb2.VerifyCitationsRequest(), INVALID),
    (39, "257 texts", vector_pb2.EmbedTextsRequest(texts=["x"] * 257), INVALID),
    (39, "no texts", vector_pb2.EmbedTextsRequest(), INVALID),
    (41, "300 characters", session_pb2.CreateSessionRequest(request_id="k" * 300), INVALID),
    (66, "forged", session_pb2.ListSessionsRequest(page_token="forged"), INVALID),
    (66, "negative", vector_pb2.ListCollectionsRequest(page_size=-1), INVALID),
    (66, "10^9", session_pb2.ListRunsRequest(page_size=10**9), INVALID),
    (67, "a pattern", session_pb2.GetSessionRequest(session_id="a:*{}"), INVALID),
    (
        67,
        "10 MB",
        session_pb2.GetSessionRequest(session_id="s" * 10_000_000),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ),
    (68, "no such run", session_pb2.WatchRunRequest(run_id="run_" + "0" * 26), grpc.StatusCode.NOT_FOUND),
    (
        68,
        "before the first",
        session_pb2.WatchRunRequest(run_id="run_" + "0" * 26, after_sequence=-1),
        INVALID,
    ),
]


@dataclass(frozen=True)
class Stubs:
    """The services themselves."""

    by_file: dict[str, Any]
    channels: dict[str, grpc.Channel]

    def call(self, message: Any, seconds: float = SOON) -> Any:
        """Sends a message by the method whose request it is."""
        descriptor = message.DESCRIPTOR
        method = getattr(
            self.by_file[descriptor.full_name.split(".")[1]], descriptor.name.removesuffix("Request")
        )
        answer = method(message, timeout=seconds)
        return list(answer) if hasattr(answer, "__next__") else answer


@pytest.fixture(scope="module")
def stubs(scene: Scene) -> Iterator[Stubs]:
    channels = {
        name: grpc.insecure_channel(f"127.0.0.1:{scene.house.ports[name]}")
        for name in ("agents", "session", "vector")
    }
    yield Stubs(
        {
            "agents": agents_pb2_grpc.AgentServiceStub(channels["agents"]),
            "session": session_pb2_grpc.SessionServiceStub(channels["session"]),
            "vector": vector_pb2_grpc.VectorServiceStub(channels["vector"]),
        },
        channels,
    )
    for channel in channels.values():
        channel.close()


@pytest.mark.parametrize(
    ("message", "code"),
    [call[2:] for call in CALLS],
    ids=[f"row {row}: {type(message).__name__} {name}" for row, name, message, _ in CALLS],
)
def test_bad_input_gets_its_answer_from_the_service(
    stubs: Stubs, message: Any, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stubs.call(message)
    error: Any = refused.value
    assert error.code() is code, error.details()
    assert "Traceback" not in error.details()
    if code is INVALID:
        assert from_rpc_error(error).reason in ("INVALID_FIELD", "INVALID_PAGE_TOKEN")
    works(stubs)


def works(stubs: Stubs) -> None:
    """A good call of every service."""
    assert stubs.call(agents_pb2.ListAgentsRequest()).agents
    assert stubs.call(session_pb2.ListSessionsRequest()) is not None
    assert stubs.call(asked()).hits


def test_bytes_that_are_no_message_and_calls_that_are_none(stubs: Stubs) -> None:
    """Row 64: random bytes, an unknown method, a message of 5 MiB, a deadline that nobody can meet."""
    channel = stubs.channels["vector"]

    def refused(path: str, data: bytes, seconds: float = SOON) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(path)(data, timeout=seconds)
        code: grpc.StatusCode = error.value.code()
        return code

    assert refused(SEARCH, b"\xff\xfe\xfd random") is INVALID
    with pytest.raises(grpc.RpcError) as unreadable:
        list(
            channel.stream_stream("/meldrag.vector.v1.VectorService/IngestDocument")(
                iter([b"\xff"]), timeout=SOON
            )
        )
    assert from_rpc_error(unreadable.value).reason == "INVALID_MESSAGE"
    assert refused("/meldrag.vector.v1.VectorService/Nothing", b"") is grpc.StatusCode.UNIMPLEMENTED
    assert (
        refused(SEARCH, b"\x12" + b"\x80\x80\xc0\x02" + b"q" * (5 << 20))
        is grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    assert refused(SEARCH, asked().SerializeToString(), 0.0001) is grpc.StatusCode.DEADLINE_EXCEEDED
    # A billion seconds are the contract's maximum, none at all its default.
    for seconds in (1e9, None):
        answer = channel.unary_unary(SEARCH)(asked().SerializeToString(), timeout=seconds)
        assert vector_pb2.SearchResponse.FromString(answer).hits
    works(stubs)


def test_streams_that_nobody_fills_or_reads_hold_nobody_up(stubs: Stubs) -> None:
    """Row 65: a stream that is never written ends at its deadline; streams cut off at once leave nothing."""
    vector = stubs.by_file["vector"]
    silence = iter(lambda: time.sleep(5), None)
    with pytest.raises(grpc.RpcError) as idle:
        list(vector.IngestDocument(silence, timeout=1))
    assert idle.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    unread = [
        stubs.by_file["session"].ExportSnapshot(session_pb2.ExportSnapshotRequest(), timeout=20)
        for _ in range(3)
    ]
    for _ in range(300):
        vector.Search.future(asked(), timeout=20).cancel()
    works(stubs)
    for stream in unread:
        stream.cancel()
    works(stubs)


async def test_a_thousand_streams_at_a_service_are_refused_beyond_its_limit(scene: Scene) -> None:
    """Row 65: those over the limit hear so at once, health is told all the while, and nothing is left."""
    address = f"127.0.0.1:{scene.house.ports['vector']}"
    opened: list[Any] = []

    async def silent() -> AsyncIterator[vector_pb2.IngestDocumentRequest]:
        await asyncio.Event().wait()
        yield vector_pb2.IngestDocumentRequest()

    async with contextlib.AsyncExitStack() as held:
        # One connection holds a thousand streams at most, and others have to get through.
        channels = [
            await held.enter_async_context(
                grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(4)
        ]
        for number in range(1000):
            stub: Any = vector_pb2_grpc.VectorServiceStub(channels[number % 4])
            opened.append(stub.IngestDocument(silent(), timeout=60))
        codes = [asyncio.create_task(call.code()) for call in opened]
        async with asyncio.timeout(50):
            while sum(code.done() for code in codes) < 700:
                await asyncio.sleep(0.1)
        health: Any = health_pb2_grpc.HealthStub(channels[0])
        told = await health.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=SOON)
        assert told.status == health_pb2.HealthCheckResponse.SERVING
        ended = [code.result() for code in codes if code.done()]
        assert set(ended) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        # As many as the service takes are still open.
        assert 0 < len(opened) - len(ended) <= 300
        for call in opened:
            call.cancel()
        await asyncio.gather(*codes, return_exceptions=True)
        stub = vector_pb2_grpc.VectorServiceStub(channels[0])
        async with asyncio.timeout(SOON):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert (await stub.Search(asked(), timeout=SOON)).hits
                    break
                await asyncio.sleep(0.1)


async def test_a_thousand_event_streams_leave_room_for_others(scene: Scene) -> None:
    """Row 65: more streams than the door has room for are 503 with the time to come back."""
    api = f"{scene.house.base_url}/api/v1"
    steps = [{"step_id": "okay", "approval": {"question": "May it go on?"}}]
    async with httpx.AsyncClient(timeout=60) as http:
        asked_for = {"message": "x", "steps": steps, "background": True}
        began = (await http.post(f"{api}/workflows/runs", json=asked_for)).raise_for_status().json()
        path = f"/api/v1/runs/{began['run_id']}/events"
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        writers: list[asyncio.StreamWriter] = []

        async def status() -> tuple[int, bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.house.ports["gateway"])
            writers.append(writer)
            writer.write(head)
            said = await reader.readuntil(b"\r\n\r\n")
            return int(said.split(b" ", 2)[1]), said.lower()

        async with asyncio.timeout(120):
            heard = await asyncio.gather(*(status() for _ in range(1000)))
        statuses = [code for code, _ in heard]
        assert set(statuses) == {200, 503}
        assert statuses.count(503) > 500
        assert all(b"\r\nretry-after: " in said for code, said in heard if code == 503)
        # The streams that were let in are open, and others find a thread.
        assert (await http.get(f"{api}/agents")).status_code == 200
        for writer in writers:
            writer.close()
        await http.post(f"{api}/runs/{began['run_id']}/cancel")
        async with asyncio.timeout(30):
            while (await http.get(f"{scene.house.base_url}{path}")).status_code == 503:
                await asyncio.sleep(0.2)
