"""Research with tools of somebody else's MCP server, over real channels: model, server and agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from services.chassis.settings import SettingsError
from tests.contract.agents.conftest import Event, kinds, result_of
from tests.contract.agents.neighbours import SessionNeighbour
from tests.contract.agents.test_journal import replayed
from tests.support.mcp_server import FACT, NotedServer, running_server
from tests.support.model_server import Answer, Calls, ModelServer, Step
from tests.support.redis_server import free_port

Open = Callable[..., Any]
QUESTION = "When was the lighthouse of Brava built?"
TEXT = Answer("It was built in 1884 [1].")
LOOKUP = "mcp_docs_lookup"


@pytest.fixture(scope="module")
def running() -> Iterator[NotedServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def others(running: NotedServer) -> NotedServer:
    running.uses.clear()
    return running


def setting(url: str, *tools: str) -> str:
    return json.dumps({"docs": {"url": url, "headers": {"X-Key": "k"}, "agents": {"research": list(tools)}}})


def statements(*said: tuple[str, str]) -> Answer:
    return Answer(json.dumps({"statements": [{"statement": s, "tool": t} for s, t in said]}))


async def consulted(
    open_house: Open, servers: str, *steps: Step, **settings: Any
) -> tuple[list[Event], ModelServer]:
    """A run whose model writes its answer, and then consults others as `steps` say."""
    with ModelServer(TEXT, *steps) as server:
        settings.setdefault("meld_model_capabilities", "gpt-4=tools+json_schema")
        house = await open_house(server.base_url, meld_mcp_servers=servers, **settings)
        return await house.run(QUESTION), server


def tool_events(events: list[Event]) -> list[tuple[str, bool]]:
    ended = [event.tool_finished for event in events if event.HasField("tool_finished")]
    return [(one.tool, one.succeeded) for one in ended]


def offered(server: ModelServer, chat: int) -> list[str]:
    return [tool["function"]["name"] for tool in server.chats[chat].body.get("tools", [])]


async def test_a_model_asks_a_tool_of_others_and_its_words_are_marked(
    open_house: Open, others: NotedServer, session: SessionNeighbour
) -> None:
    steps = (
        Calls([(LOOKUP, '{"topic": "lighthouse"}')]),
        statements((FACT, LOOKUP), ("The lighthouse of Brava has 900 steps.", LOOKUP)),
    )
    events, server = await consulted(open_house, setting(others.url, "lookup"), *steps)
    result = result_of(events)
    assert [(c.statement, c.tool) for c in result.result.research.consulted] == [(FACT, "mcp:docs:lookup")]
    # What the tool's answer does not carry is dropped.
    assert result.result.research.dropped_claim_count == 1
    assert f"{FACT} (from mcp:docs:lookup; no document says so)" in result.text
    assert "900" not in result.text
    assert others.uses == [{"tool": "lookup", "arguments": {"topic": "lighthouse", "key": "k"}}]
    assert tool_events(events) == [("mcp:docs:lookup", True)]
    assert result.usage.tool_calls == 1 + sum(event.HasField("passages") for event in events) - 1
    assert offered(server, 1) == [LOOKUP]
    # Its answer is shown to the model as data.
    shown = str(server.chats[2].messages[-1]["content"])
    assert shown.startswith("<<<result of mcp:docs:lookup ")
    assert FACT in shown
    assert not result.degradations


async def test_a_run_is_repeated_without_asking_the_server_again(
    open_house: Open, others: NotedServer, session: SessionNeighbour
) -> None:
    steps = (Calls([(LOOKUP, '{"topic": "x"}')]), statements((FACT, LOOKUP)))
    with ModelServer(TEXT, *steps) as server:
        house = await open_house(
            server.base_url,
            meld_mcp_servers=setting(others.url, "lookup"),
            meld_model_capabilities="gpt-4=tools+json_schema",
        )
        events = await house.run(QUESTION)
        others.uses.clear()
        again, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome.difference
    assert again[-1].ended.result.text == result_of(events).text
    assert others.uses == []


async def test_without_a_model_nobody_is_asked(open_house: Open, others: NotedServer) -> None:
    house = await open_house(meld_mcp_servers=setting(others.url, "lookup"))
    result = result_of(await house.run(QUESTION))
    assert not result.result.research.consulted
    assert not result.degradations
    assert others.uses == []


@pytest.mark.parametrize(
    "asked", ["delete_all", "mcp_docs_delete_all", "mcp:docs:delete_all", "mcp_docs_lookup_2"]
)
async def test_what_a_tool_says_makes_nobody_use_another(
    open_house: Open, others: NotedServer, asked: str
) -> None:
    """The model obeys the text that came back. It gets nowhere."""
    steps = (
        Calls([("mcp_docs_inject", '{"topic": "lighthouse"}')]),
        Calls([(asked, "{}")]),
        statements(),
    )
    events, server = await consulted(open_house, setting(others.url, "inject", "lookup"), *steps)
    assert [use["tool"] for use in others.uses] == ["inject"]
    assert tool_events(events) == [("mcp:docs:inject", True)]
    shown = str(server.chats[2].messages[-1]["content"])
    assert shown.startswith("<<<result of mcp:docs:inject ")
    assert "<|im_start|>" not in shown
    assert str(server.chats[3].messages[-1]["content"]).startswith("Refused: there is no such tool here.")
    assert "delete_all" not in json.dumps(offered(server, 1))
    assert "evil.example" not in result_of(events).text


async def test_arguments_outside_the_schema_are_told_and_mended(
    open_house: Open, others: NotedServer
) -> None:
    steps = (
        Calls([(LOOKUP, '{"topics": ["x"]}')]),
        Calls([(LOOKUP, '{"topic": "x"}')]),
        statements((FACT, "mcp:docs:lookup")),
    )
    events, server = await consulted(open_house, setting(others.url, "lookup"), *steps)
    assert str(server.chats[2].messages[-1]["content"]).startswith("Refused: the arguments do not fit: $: ")
    assert [use["arguments"]["topic"] for use in others.uses] == ["x"]
    assert [c.tool for c in result_of(events).result.research.consulted] == ["mcp:docs:lookup"]


async def test_a_statement_of_a_tool_that_was_not_asked_does_not_stand(
    open_house: Open, others: NotedServer
) -> None:
    steps = (statements((FACT, LOOKUP)), statements((FACT, LOOKUP)))
    events, _ = await consulted(open_house, setting(others.url, "lookup"), *steps)
    result = result_of(events)
    assert not result.result.research.consulted
    assert "was not asked" in result.degradations[0].reason
    assert others.uses == []


async def test_a_huge_answer_costs_that_answer_alone(open_house: Open, others: NotedServer) -> None:
    steps = (Calls([("mcp_docs_huge", '{"topic": "x"}')]), statements())
    events, server = await consulted(open_house, setting(others.url, "huge"), *steps)
    assert tool_events(events) == [("mcp:docs:huge", False)]
    assert "its answer is larger than" in str(server.chats[2].messages[-1]["content"])
    assert result_of(events).text.startswith("It was built in 1884 [1].")


async def test_uses_of_tools_of_others_end_with_the_runs_means(open_house: Open, others: NotedServer) -> None:
    many = Calls([(LOOKUP, '{"topic": "x"}')] * 10)
    events, _ = await consulted(open_house, setting(others.url, "lookup"), many, meld_max_tool_calls=6)
    result = result_of(events)
    assert [item.component for item in result.degradations] == ["budget"]
    assert result.usage.tool_calls == 6
    assert len(others.uses) <= 6


async def test_a_server_that_is_gone_is_told_and_the_run_goes_on(open_house: Open) -> None:
    events, server = await consulted(open_house, setting(f"http://127.0.0.1:{free_port()}/mcp", "lookup"))
    result = result_of(events)
    ((component, reason),) = [(item.component, item.reason) for item in result.degradations]
    assert (component, reason) == ("mcp", "The MCP server docs cannot be used: it cannot be reached.")
    assert result.text.startswith("It was built in 1884 [1].")
    assert "degradation" in kinds(events)
    assert len(server.chats) == 1
    assert result.answer_mode == agents_pb2.ANSWER_MODE_GENERATIVE


async def test_an_agent_that_uses_none_is_told_at_the_start(open_house: Open) -> None:
    servers = json.dumps({"docs": {"url": "http://127.0.0.1:1/", "agents": {"audio": ["lookup"]}}})
    with pytest.raises(SettingsError, match="'audio', which uses no tools of others"):
        await open_house(meld_mcp_servers=servers)
