"""Streams over real connections: alive while silent, stopped when the client goes, ended once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest
from google.protobuf import any_pb2

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from tests.contract.gateway.conftest import Gateway, Start, within
from tests.support.waits import promised
from tests.unit.gateway.scripted_services import ScriptedServices, for_ever

STARTED = agents_pb2.RunAgentResponse(
    run_id="run_1", sequence=1, started=agents_pb2.RunStarted(agent_id="auto", recorded=True)
)
# The client is looked at every 0.2 s; the rest is for a busy machine.
SOON = 1.0


async def silent_run(_: Any) -> AsyncIterator[Any]:
    yield STARTED
    await asyncio.Event().wait()


async def silent_watch(_: Any) -> AsyncIterator[Any]:
    payload = any_pb2.Any()
    payload.Pack(STARTED)
    yield session_pb2.WatchRunResponse(events=[session_pb2.RunEvent(sequence=1, payload=payload)])
    await asyncio.Event().wait()


async def silent_ingest(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for _ in requests:
        pass
    yield vector_pb2.IngestDocumentResponse(stage=vector_pb2.INGEST_STAGE_RECEIVED)
    await asyncio.Event().wait()


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n',
    "multipart/form-data; boundary=b",
)
RUN = b'{"message": "m", "stream": true}'
UNARY_RUN = b'{"message": "m"}'


@dataclass(frozen=True)
class Ask:
    """A request, and the method of a service that works for it."""

    method: str
    script: Any
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "*/*"

    def wire(self) -> bytes:
        head = (
            f"{'POST' if self.body else 'GET'} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: {self.content_type}\r\nAccept: {self.accept}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


DOCUMENTS = "/api/v1/collections/c/documents"
LEFT = {
    "run as events": Ask("RunAgent", silent_run, "/api/v1/runs", RUN),
    "run as JSON": Ask("RunAgent", silent_run, "/api/v1/runs", UNARY_RUN),
    "watch": Ask("WatchRun", silent_watch, "/api/v1/runs/run_1/events"),
    "unary": Ask("ListAgents", for_ever, "/api/v1/agents"),
    "search": Ask("Search", for_ever, "/api/v1/collections/c/search", b'{"query": "q"}'),
    "upload": Ask("IngestDocument", silent_ingest, DOCUMENTS, *FORM),
    "upload as events": Ask("IngestDocument", silent_ingest, DOCUMENTS, *FORM, "text/event-stream"),
    "import": Ask(
        "ImportDocuments", silent_ingest, f"{DOCUMENTS}/import", b'{"text": "t"}', "application/x-ndjson"
    ),
}


@pytest.mark.parametrize("ask", LEFT.values(), ids=LEFT.keys())
def test_a_client_that_goes_stops_the_call_behind_it(
    gateway: Gateway, services: ScriptedServices, ask: Ask
) -> None:
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse()
    services.script[ask.method] = ask.script
    with gateway.connect() as connection:
        connection.sendall(ask.wire())
        end = time.monotonic() + 5
        while not services.requests[ask.method] and time.monotonic() < end:
            time.sleep(0.01)
        assert services.requests[ask.method]
        time.sleep(0.3)
        assert not services.cancelled[ask.method].is_set()
    assert services.cancelled[ask.method].wait(SOON), "the service still works for nobody"


def test_clients_that_went_leave_no_thread_and_no_file_behind(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = silent_run
    (worker,) = psutil.Process(gateway.process.pid).children()

    def vanish() -> None:
        asked = len(services.requests["RunAgent"])
        with contextlib.ExitStack() as held:
            for _ in range(8):
                held.enter_context(gateway.connect()).sendall(LEFT["run as events"].wire())
            assert within(5, lambda: len(services.requests["RunAgent"]) == asked + 8)

    def held_now() -> tuple[int, int]:
        return worker.num_threads(), worker.num_fds()

    def settled(limit: tuple[int, int]) -> bool:
        return all(now <= most + 2 for now, most in zip(held_now(), limit, strict=True))

    # The first round fills the pool of threads, which stays.
    vanish()
    time.sleep(1)
    before = held_now()
    for _ in range(4):
        vanish()
        assert within(5, lambda: settled(before)), (before, held_now())


def test_a_silent_stream_shows_that_it_lives(gateway: Gateway, services: ScriptedServices) -> None:
    services.script["RunAgent"] = silent_run
    lines = []
    with httpx.stream("POST", f"{gateway.url}/api/v1/runs", json=json.loads(RUN), timeout=5) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if lines.count(": still here") == 2:
                break
    assert lines[:2] == ["id: 1", "event: started"]


def test_an_event_is_not_held_back_for_the_next(gateway: Gateway, services: ScriptedServices) -> None:
    services.script["RunAgent"] = silent_run
    began = time.monotonic()
    with httpx.stream("POST", f"{gateway.url}/api/v1/runs", json=json.loads(RUN), timeout=5) as answer:
        assert next(answer.iter_lines()) == "id: 1"
    assert time.monotonic() - began < promised(SOON)


@pytest.mark.parametrize("stream", [True, False])
def test_a_run_beyond_its_deadline_ends_in_time(
    gateway: Gateway, services: ScriptedServices, stream: bool
) -> None:
    services.script["RunAgent"] = silent_run
    began = time.monotonic()
    answer = httpx.post(
        f"{gateway.url}/api/v1/runs",
        json={"message": "m", "stream": stream},
        headers={"Request-Timeout": "0.6"},
        timeout=5,
    )
    assert 0.4 < time.monotonic() - began < promised(0.6 + 0.25 + 0.5)
    if stream:
        assert answer.text.count("event: error") == 1
        assert '"status":504' in answer.text.replace(" ", "")
    else:
        assert answer.status_code == 504


def test_sigterm_answers_what_is_in_flight_tells_the_streams_and_ends_in_time(
    start: Start, services: ScriptedServices
) -> None:
    async def slowly(_: Any) -> agents_pb2.ListAgentsResponse:
        await asyncio.sleep(0.7)
        return agents_pb2.ListAgentsResponse()

    services.script["RunAgent"] = silent_run
    services.script["ListAgents"] = slowly
    gateway = start(MELD_DRAIN_SECONDS="2")
    with (
        gateway.connect() as waiting,
        httpx.stream("POST", f"{gateway.url}/api/v1/runs", json=json.loads(RUN), timeout=10) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "id: 1"
        waiting.sendall(b"GET /api/v1/agents HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.3)
        gateway.process.terminate()
        began = time.monotonic()
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
        rest = list(lines)
    assert rest.count("event: error") == 1
    assert any('"SHUTTING_DOWN"' in line for line in rest)
    assert gateway.process.wait(5) == 0
    assert time.monotonic() - began < promised(4)
    assert services.cancelled["RunAgent"].wait(SOON)


def test_an_import_whose_client_reads_nothing_until_it_has_sent_all(
    gateway: Gateway, services: ScriptedServices
) -> None:
    """Were answers held back, service, gateway and client would wait for each other for ever."""
    lines = 6000
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse()

    async def answering(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        index = 0
        async for request in requests:
            document = vector_pb2.Document(document_id=request.external_id)
            yield vector_pb2.ImportDocumentsResponse(index=index, document=document)
            index += 1

    services.script["ImportDocuments"] = answering
    body = b"".join(b'{"id": "%06d%s", "text": "t"}\n' % (n, b"x" * 500) for n in range(lines))
    with socket.socket() as connection:
        # A small window, so that the answers do not fit into the kernel's buffers.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(
            b"POST /api/v1/collections/c/documents/import HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), 100_000):
            piece = body[start : start + 100_000]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        answer = bytearray()
        while piece := connection.recv(1 << 20):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b'"index":') == lines
    assert b'{"done":true,"lines":6000,"documents":6000' in answer


def test_a_body_that_breaks_off_ends_an_import_with_what_was_taken(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse()
    services.script["ImportDocuments"] = [vector_pb2.ImportDocumentsResponse()]
    answer = gateway.say(
        b"POST /api/v1/collections/c/documents/import HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: close\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n"
        + b'{"text": "t"}\n'
    )
    assert b'"done":false' in answer
    assert b"CLIENT_TOO_SLOW" in answer
