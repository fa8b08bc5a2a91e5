"""The official MCP client in front of the whole house: a stranger's model finds, asks, checks and reads."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import MCPError
from mcp.client import Client

from tests.support.launched import House, launched
from tests.support.mcp_server import FACT, running_server
from tests.support.model_server import Answer, Calls, ModelServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TEXT = "# Pilot book\n\nThe harbour of Ménez is fourteen metres deep. The ferry to Ménez leaves at nine.\n"
QUESTION = "How deep is the harbour of Ménez?"


@pytest.fixture(scope="module")
def document(house: House) -> str:
    """A document in a collection of its own; its resource."""
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        http.post("/collections", json={"name": "pilots"}).raise_for_status()
        sent = http.post("/collections/pilots/documents", files={"file": ("pilot.md", TEXT)})
        identity = sent.raise_for_status().json()["id"]
        end = time.monotonic() + 60
        while http.get(f"/collections/pilots/documents/{identity}").json()["state"] != "READY":
            assert time.monotonic() < end
            time.sleep(0.1)
    return f"meld://collections/pilots/documents/{identity}"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_strangers_model_works_with_the_documents(house: House, document: str, mode: str) -> None:
    told: list[tuple[float, str | None]] = []

    async def progress(value: float, _: float | None, message: str | None) -> None:
        told.append((value, message))

    async with Client(f"{house.base_url}/mcp", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) == 15
        found = await client.call_tool("search", {"query": "harbour", "collections": ["pilots"], "limit": 1})
        (hit,) = found.structured_content["hits"]
        assert hit["text"].startswith("# Pilot book")

        asked: dict[str, Any] = {"question": QUESTION, "collections": ["pilots"]}
        answer = await client.call_tool("ask", asked, progress_callback=progress)
        assert answer.content[0].text.startswith("The harbour of Ménez is fourteen metres deep. [1]")
        assert f"— {document}" in answer.content[0].text
        assert [value for value, _ in told] == sorted({value for value, _ in told})
        assert told[0][1] == "The run has begun."
        assert any(message and message.startswith("The agent research") for _, message in told)

        (citation, *_) = answer.structured_content["citations"]
        checked = await client.call_tool("verify_citations", {"citations": [citation]})
        assert checked.structured_content["results"][0]["verified"] is True
        wrong = {**citation, "quote": "The harbour of Ménez is two metres deep."}
        checked = await client.call_tool("verify_citations", {"citations": [wrong]})
        assert checked.structured_content["results"][0]["verified"] is False

        agent = await client.call_tool("research", {"message": QUESTION, "collections": ["pilots"]})
        assert agent.structured_content["agent"] == "research"
        assert agent.structured_content["result"]["findings"]

        # Others' documents may be in the house as well.
        listed = await client.list_resources()
        while document not in [resource.uri for resource in listed.resources]:
            assert listed.next_cursor, "the last page"
            listed = await client.list_resources(cursor=listed.next_cursor)
        (whole,) = (await client.read_resource(document)).contents
        assert whole.text == TEXT
        place = f"{document}/text/{citation['byte_start']}-{citation['byte_end']}"
        (part,) = (await client.read_resource(place)).contents
        assert part.text == citation["quote"]


async def test_every_agent_answers_in_the_shape_that_it_promises(house: House, document: str) -> None:
    """The client holds each structured result against the schema of its tool."""
    async with Client(f"{house.base_url}/mcp") as client:
        agents = [tool.name for tool in (await client.list_tools()).tools][3:]
        assert len(agents) == 12
        for agent in agents:
            answer = await client.call_tool(agent, {"message": QUESTION, "collections": ["pilots"]})
            assert not answer.is_error, (agent, answer.content)
            assert answer.structured_content["agent"] == agent


async def test_what_is_wrong_is_told_with_its_reason(house: House, document: str) -> None:
    async with Client(f"{house.base_url}/mcp") as client:
        for tool, arguments, reason in [
            ("ask", {"question": "\u200b"}, "INVALID_FIELD"),
            ("ask", {"question": QUESTION, "collections": ["nix"]}, "COLLECTION_NOT_FOUND"),
            ("ask", {"question": QUESTION, "agent": "nobody"}, "AGENT_NOT_FOUND"),
            ("search", {"query": "x" * 9000, "collections": ["pilots"]}, "INVALID_FIELD"),
            ("ceo", {"message": QUESTION, "options": "one"}, "INPUTS_INVALID"),
            ("research", {"message": QUESTION, "session_id": "nix"}, "SESSION_NOT_FOUND"),
        ]:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error, (tool, arguments)
            assert re.match(r"[A-Z_]+", answer.content[0].text)[0] == reason, answer.content
        with pytest.raises(MCPError, match="DOCUMENT_NOT_FOUND"):
            await client.read_resource(f"{document[:-4]}0000")
        with pytest.raises(MCPError, match="INVALID_CURSOR"):
            await client.list_resources(cursor="WyJhIiwiYiJd")


async def test_a_stranger_hears_what_another_strangers_server_says(tmp_path: Path) -> None:
    """Both ways at once: a client asks the house, whose research asks a server, as its model chooses."""
    said = json.dumps({"statements": [{"statement": FACT, "tool": "mcp_docs_lookup"}]})
    steps = (Calls([("mcp_docs_lookup", '{"topic": "lighthouse"}')]), Answer(said))
    with running_server() as others, ModelServer(*steps) as model:
        settings = {
            "MELD_MCP_SERVERS": json.dumps({"docs": {"url": others.url, "agents": {"research": ["lookup"]}}}),
            "MELD_MODEL_CAPABILITIES": "gpt-4=tools+json_schema",
            "OPENAI_BASE_URL": model.base_url,
        }
        with launched(tmp_path, settings) as own:
            async with Client(f"{own.base_url}/mcp") as client:
                answer = await client.call_tool("research", {"message": "How many steps has the lighthouse?"})
    assert not answer.is_error, answer.content
    assert answer.content[0].text == f"{FACT} (from mcp:docs:lookup; no document says so)"
    assert answer.structured_content["answer_mode"] == "TOOLS"
    assert answer.structured_content["result"]["consulted"] == [
        {"statement": FACT, "tool": "mcp:docs:lookup"}
    ]
    assert [use["tool"] for use in others.uses] == ["lookup"]
