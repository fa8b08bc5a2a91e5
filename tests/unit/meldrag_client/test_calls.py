"""Calls of the client at servers that say how they were called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from meldrag_client import AsyncMeld, Meld, MeldError, files


class Knowledge(vector_pb2_grpc.VectorServiceServicer):
    """Unavailable as often as it is told, then there."""

    def __init__(self) -> None:
        self.unavailable = 0
        self.remaining: list[float] = []
        self.metadata: list[dict[str, Any]] = []

    def _meet(self, context: grpc.ServicerContext) -> None:
        self.remaining.append(context.time_remaining())
        self.metadata.append(dict(context.invocation_metadata()))
        if self.unavailable:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")

    def ListCollections(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._meet(context)
        return vector_pb2.ListCollectionsResponse()

    def Search(self, request: Any, context: grpc.ServicerContext) -> Any:
        details = [any_pb2.Any(), any_pb2.Any()]
        info = {"reason": "COLLECTION_NOT_FOUND", "domain": "vector.meldrag", "metadata": {"id": "nope"}}
        details[0].Pack(error_details_pb2.ErrorInfo(**info))
        details[1].Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=3)))
        status = status_pb2.Status(code=5, message="there is no nope", details=details)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.NOT_FOUND, status.message)

    def IngestDocument(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        header = next(requests).header
        received = b"".join(part.data for part in requests)
        failed = vector_pb2.Document(
            state=vector_pb2.DOCUMENT_STATE_FAILED,
            error=vector_pb2.DocumentError(reason="DOCUMENT_EMPTY", message="no bytes"),
        )
        taken = vector_pb2.Document(
            title=header.filename, bytes=len(received), state=vector_pb2.DOCUMENT_STATE_READY
        )
        document = taken if received else failed
        yield vector_pb2.IngestDocumentResponse(document=document, stage=vector_pb2.INGEST_STAGE_READY)


class Agents(agents_pb2_grpc.AgentServiceServicer):
    """Works until it is left, or ends as the message says."""

    def __init__(self) -> None:
        self.calls = 0
        self.remaining: list[float] = []
        self.left = threading.Event()

    def RunAgent(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.calls += 1
        self.remaining.append(context.time_remaining())
        if request.message == "unavailable":
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        waits = request.message == "wait"
        if waits:
            context.add_callback(self.left.set)
        yield agents_pb2.RunAgentResponse(run_id="run_1", started=agents_pb2.RunStarted())
        if waits:
            self.left.wait(30)
            return
        error = agents_pb2.RunError(reason="MODEL_DOWN", message="no model", code=14)
        ended = agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_FAILED, error=error)
        yield agents_pb2.RunAgentResponse(run_id="run_1", ended=ended)


@pytest.fixture
def knowledge() -> Knowledge:
    return Knowledge()


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def address(knowledge: Knowledge, agents: Agents) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    vector_pb2_grpc.add_VectorServiceServicer_to_server(knowledge, server)
    agents_pb2_grpc.add_AgentServiceServicer_to_server(agents, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def meld(address: str) -> Iterator[Meld]:
    with Meld(address, address, address, token="mrk_1_secret") as opened:
        yield opened


LIST = vector_pb2.ListCollectionsRequest()


def test_what_may_be_repeated_is_repeated(meld: Meld, knowledge: Knowledge) -> None:
    knowledge.unavailable = 2
    assert meld.vector.ListCollections(LIST) == vector_pb2.ListCollectionsResponse()
    assert len(knowledge.remaining) == 3


def test_what_may_not_be_repeated_is_not(meld: Meld, agents: Agents) -> None:
    with pytest.raises(MeldError) as caught:
        list(meld.ask("unavailable"))
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert agents.calls == 1


def test_deadlines_are_the_contracts_unless_they_are_named(
    meld: Meld, knowledge: Knowledge, agents: Agents
) -> None:
    for timeout in (None, 20.0, 100_000.0):
        meld.vector.ListCollections(LIST, timeout=timeout)
    with pytest.raises(MeldError):
        list(meld.ask("fail"))
    assert knowledge.remaining == pytest.approx([5, 20, 60], abs=2)
    assert agents.remaining == pytest.approx([120], abs=5)


def test_the_token_goes_with_every_call(meld: Meld, knowledge: Knowledge) -> None:
    meld.vector.ListCollections(LIST, metadata=(("x-request-id", "abc"),))
    assert knowledge.metadata[0]["authorization"] == "Bearer mrk_1_secret"
    assert knowledge.metadata[0]["x-request-id"] == "abc"


def test_an_error_has_its_reason(meld: Meld) -> None:
    with pytest.raises(MeldError) as caught:
        meld.search("x", ["nope"])
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND")
    assert (error.domain, error.metadata, error.retry_after) == ("vector.meldrag", {"id": "nope"}, 3)
    assert str(error) == "there is no nope (COLLECTION_NOT_FOUND)"


def test_a_server_that_is_not_there_has_a_code_and_no_reason() -> None:
    with Meld(vector="127.0.0.1:1") as meld, pytest.raises(MeldError) as caught:
        meld.search("x", ["notes"])
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "")


def test_a_run_that_failed_raises_after_its_last_event(meld: Meld) -> None:
    seen = []
    with pytest.raises(MeldError) as caught:
        seen.extend(event.WhichOneof("event") for event in meld.ask("fail"))
    assert seen == ["started", "ended"]
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_DOWN")
    assert caught.value.metadata == {"run_id": "run_1"}
    with pytest.raises(MeldError, match="MODEL_DOWN"):
        meld.answer("fail")


def test_who_leaves_a_run_cancels_it(meld: Meld, agents: Agents) -> None:
    events = meld.ask("wait")
    assert next(events).run_id == "run_1"
    events.close()
    assert agents.left.wait(10)


def test_one_text_is_no_list_of_collections(meld: Meld) -> None:
    with pytest.raises(TypeError, match="list of names"):
        meld.search("x", "notes")
    with pytest.raises(ValueError, match="mode"):
        meld.search("x", ["notes"], mode="best")  # type: ignore[arg-type]


def test_each_file_of_many_is_right_or_wrong_by_itself(meld: Meld, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "a.md").write_bytes(b"x" * 600_000)
    (tmp_path / "deep" / "b.md").write_text("")
    (tmp_path / "c.md").symlink_to(tmp_path / "deep" / "b.md")
    assert [path.name for path in files([tmp_path])] == ["a.md", "c.md", "b.md"]
    taken, *empty = meld.ingest_all("notes", [tmp_path], at_once=2)
    assert taken.document is not None
    assert (taken.document.title, taken.document.bytes) == ("a.md", 600_000)
    assert [isinstance(each.error, MeldError) and each.error.reason for each in empty] == [
        "DOCUMENT_EMPTY"
    ] * 2
    with pytest.raises(FileNotFoundError):
        meld.ingest("notes", tmp_path / "absent.md")


async def test_an_event_loop_gets_the_same(address: str, knowledge: Knowledge, agents: Agents) -> None:
    async with AsyncMeld(address, address, address, token="t") as meld:
        knowledge.unavailable = 1
        await meld.vector.ListCollections(LIST)
        assert knowledge.remaining[-1] == pytest.approx(5, abs=2)
        assert knowledge.metadata[-1]["authorization"] == "Bearer t"
        with pytest.raises(MeldError, match="COLLECTION_NOT_FOUND"):
            await meld.search("x", ["nope"])
        with pytest.raises(MeldError, match="MODEL_DOWN"):
            await meld.answer("fail")
        with pytest.raises(MeldError) as caught:
            [event async for event in meld.ask("unavailable")]
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
        events = meld.ask("wait")
        assert (await anext(events)).run_id == "run_1"
        await events.aclose()
        assert await asyncio.to_thread(agents.left.wait, 10)
