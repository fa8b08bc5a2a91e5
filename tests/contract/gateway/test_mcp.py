"""The official MCP client in front of the gateway as it is started in earnest, with two workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from mcp import MCPError
from mcp.client import Client

from meldrag.agents.v1 import agents_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import NotFoundError
from tests.contract.gateway.conftest import Gateway, running_gateway, within
from tests.unit.gateway.routes.test_runs import ENDED, STARTED, event
from tests.unit.gateway.scripted_services import ScriptedServices

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture(scope="module")
def pair(running: ScriptedServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers, neither of which knows what the other was told."""
    with running_gateway(running, tmp_path_factory.mktemp("mcp"), GUNICORN_WORKERS="2") as gateway:
        yield gateway


@pytest.fixture
def agents(services: ScriptedServices) -> ScriptedServices:
    agent = agents_pb2.Agent(agent_id="research", display_name="Research", purpose="Finds.")

    async def get(asked: agents_pb2.GetAgentRequest) -> agents_pb2.GetAgentResponse:
        if asked.agent_id != "research":
            raise NotFoundError("no such agent", reason="AGENT_NOT_FOUND")
        return agents_pb2.GetAgentResponse(agent=agent)

    services.script |= {
        "ListAgents": agents_pb2.ListAgentsResponse(agents=[agent]),
        "GetAgent": get,
        "ListCollections": vector_pb2.ListCollectionsResponse(
            collections=[vector_pb2.Collection(collection_id="papers")]
        ),
        "ListDocuments": vector_pb2.ListDocumentsResponse(),
        "RunAgent": [STARTED, ENDED],
    }
    return services


@MODES
async def test_everything_works_whichever_worker_is_asked(
    pair: Gateway, agents: ScriptedServices, mode: str
) -> None:
    told: list[str | None] = []

    async def progress(_: float, __: float | None, message: str | None) -> None:
        told.append(message)

    for _ in range(6):
        # A client of its own has a connection of its own, which either worker may take.
        async with Client(f"{pair.url}/mcp", mode=mode) as client:
            assert client.server_info is not None
            assert client.server_info.name == "meld-and-rag"
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == ["search", "ask", "verify_citations", "research"]
            answers = await asyncio.gather(
                *(
                    client.call_tool("research", {"message": "m"}, progress_callback=progress)
                    for _ in range(4)
                )
            )
            assert {answer.structured_content["text"] for answer in answers} == {"Yes."}
            assert [item.uri for item in (await client.list_resources()).resources] == ["meld://collections"]
            with pytest.raises(MCPError, match="TOOL_UNKNOWN"):
                await client.call_tool("nix", {})
    assert told == ["The run has begun."] * 24


async def endless(_: Any) -> AsyncIterator[Any]:
    """A run that says something, and then works for ever."""
    yield STARTED
    await asyncio.Event().wait()


@MODES
async def test_a_client_that_gives_up_cancels_its_run_and_no_other(
    pair: Gateway, agents: ScriptedServices, mode: str
) -> None:
    agents.script["RunAgent"] = endless
    began = asyncio.Event()

    async def progress(*_: Any) -> None:
        began.set()

    async with Client(f"{pair.url}/mcp", mode=mode) as client:
        call = asyncio.create_task(
            client.call_tool(
                "research", {"message": "m"}, progress_callback=progress, read_timeout_seconds=60
            )
        )
        await asyncio.wait_for(began.wait(), 20)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        if mode == "auto":
            assert await asyncio.to_thread(agents.cancelled["RunAgent"].wait, 10)
    # One of the handshake's time only says that it has lost interest, and goes when it goes.
    assert await asyncio.to_thread(agents.cancelled["RunAgent"].wait, 10)


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream"])
def test_a_connection_that_is_cut_cancels_the_run(
    pair: Gateway, agents: ScriptedServices, accept: str
) -> None:
    agents.script["RunAgent"] = endless
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "research", "arguments": {"message": "m"}},
    }
    with pytest.raises(httpx.TimeoutException):
        httpx.post(f"{pair.url}/mcp", json=message, headers={"Accept": accept}, timeout=1)
    assert agents.cancelled["RunAgent"].wait(10)


def test_a_long_run_is_heard_while_it_works(pair: Gateway, agents: ScriptedServices) -> None:
    """Events come as they are made, and not at the end."""
    agents.script["RunAgent"] = endless
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "research", "arguments": {"message": "m"}, "_meta": {"progressToken": 5}},
    }
    headers = {"Accept": "application/json, text/event-stream"}
    with httpx.stream("POST", f"{pair.url}/mcp", json=message, headers=headers, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = next(line for line in answer.iter_lines() if line.startswith("data: "))
    told = json.loads(data[6:])["params"]
    assert (told["progressToken"], told["message"]) == (5, "The run has begun.")
    assert agents.cancelled["RunAgent"].wait(10)


def test_runs_that_are_waited_for_leave_room_for_others(
    running: ScriptedServices, agents: ScriptedServices, tmp_path: Any
) -> None:
    """Streams hold threads; beyond their share a call is refused with when to come again."""
    agents.script["RunAgent"] = endless
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "research", "arguments": {"message": "m"}},
    }
    headers = {"Accept": "application/json, text/event-stream"}
    settings = {"GUNICORN_WORKERS": "1", "GUNICORN_THREADS": "4"}
    with (
        running_gateway(running, tmp_path, **settings) as gateway,
        httpx.Client(timeout=30) as http,
        contextlib.ExitStack() as held,
    ):
        # Held, for a reader who lets go has left.
        lines: list[Iterator[str]] = []
        for _ in range(2):
            sent = {**message, "params": {**message["params"], "_meta": {"progressToken": 5}}}
            opened = held.enter_context(http.stream("POST", f"{gateway.url}/mcp", json=sent, headers=headers))
            lines.append(opened.iter_lines())
            assert next(lines[-1])
        answer = http.post(f"{gateway.url}/mcp", json=message, headers=headers)
        text = re.search(r'"text":"([^"]*)"', answer.text)
        assert text is not None
        assert text[1].startswith("TOO_MANY_STREAMS")
        assert http.get(f"{gateway.url}/livez").status_code == 200
    assert within(10, agents.cancelled["RunAgent"].is_set)


async def test_a_run_that_fails_is_told_with_its_reason(pair: Gateway, agents: ScriptedServices) -> None:
    error = agents_pb2.RunError(reason="MODEL_TRUNCATED", message="it broke off", code=14)
    ended = agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_FAILED, error=error)
    agents.script["RunAgent"] = [STARTED, event(2, ended=ended)]
    async with Client(f"{pair.url}/mcp") as client:
        answer = await client.call_tool("research", {"message": "m"})
    assert answer.is_error
    assert answer.content[0].text.startswith("MODEL_TRUNCATED: it broke off")


def test_a_page_of_another_site_may_not_call(pair: Gateway) -> None:
    answer = httpx.post(
        f"{pair.url}/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
        headers={"Origin": "https://evil.example"},
    )
    assert (answer.status_code, answer.json()["error"]["data"]["reason"]) == (403, "ORIGIN_NOT_ALLOWED")
