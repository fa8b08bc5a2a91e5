"""Runs that are cut off and go on, and runs that are done again with nothing but their record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from meldrag.agents.v1 import agents_pb2, journal_pb2, results_pb2
from meldrag.session.v1 import session_pb2
from services.agents import recorder
from services.agents.journal import journal
from services.agents.ports import JsonObject
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.agents.runs import derived_run_id
from services.chassis.errors import ServiceError, from_rpc_error
from tests.contract.agents import clerk
from tests.contract.agents.conftest import Client, Event, agents_house, kinds, result_of, streamed
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted, unavailable
from tests.contract.agents.test_run_life import QUESTION, settled
from tests.support.model_server import Answer, Calls, ModelServer, Stall
from tests.support.redis_server import free_port

Open = Callable[..., Any]
REQUEST = "r-1"
RUN = derived_run_id("local", REQUEST, 0)


class Workshop:
    """An agent with two tools: `look` may be used again, `mail` has effects. Keeps what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def registry(self) -> Registry:
        """The roster with this agent in the place of research."""
        made = clerk.registry(self.compose, ("look", "mail"))
        research = made.get("research")
        research = replace(research, definition=replace(research.definition, effects=frozenset({"mail"})))
        return Registry(research if h.definition.agent_id == "research" else h for h in made)

    async def compose(self, work: Work[Any]) -> results_pb2.ResearchResult:
        """Looks, mails and looks again."""
        seen = [await self._use(work, tool, n) for n, tool in enumerate(("look", "mail", "look"))]
        return results_pb2.ResearchResult(findings=work.cited_findings(), gaps=seen)

    async def _use(self, work: Work[Any], tool: str, number: int) -> str:
        async def action() -> JsonObject:
            await asyncio.sleep(0)
            self.done.append(f"{tool} {number}")
            return {"uses": len(self.done)}

        result = await work.tools.use(tool, {"number": number}, action, lambda made: f"{made['uses']} uses")
        return f"{tool} {number}: {result['uses']}"


@asynccontextmanager
async def house_on(
    session: SessionNeighbour, vector: VectorNeighbour, model_url: str = "", **more: Any
) -> AsyncIterator[Client]:
    async with (
        hosted("vector", vector) as vectors,
        hosted("session", session) as sessions,
        agents_house(vectors, sessions, model_url, **more) as house,
    ):
        yield house


async def replayed(house: Client, run_id: str) -> tuple[list[Event], agents_pb2.ReplayOutcome]:
    """The events of a repeated run, and how it compares. Raises the call's ServiceError."""
    request = agents_pb2.ReplayRunRequest(run_id=run_id)
    try:
        responses = [response async for response in house.stub.ReplayRun(request, timeout=20)]
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    assert not any(response.HasField("outcome") for response in responses[:-1])
    return [r.event for r in responses if r.HasField("event")], responses[-1].outcome


def bytes_of(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def kind_of(entry: session_pb2.RunEntry) -> str:
    """What was asked."""
    payload = journal_pb2.JournalEntry()
    entry.payload.Unpack(payload)
    return payload.kind


def cut(session: SessionNeighbour, count: int) -> SessionNeighbour:
    """What a process leaves that is killed behind its `count`th write."""
    left = SessionNeighbour()
    run = session_pb2.Run()
    run.CopyFrom(session.runs[RUN])
    run.state, run.owner = session_pb2.RUN_STATE_RUNNING, "127.0.0.1:50051#gone"
    run.ClearField("end_time")
    left.runs[RUN] = run
    left.events[RUN] = [event for append in session.appends[:count] for event in append.events]
    left.entries[RUN] = [entry for append in session.appends[:count] for entry in append.entries]
    run.last_sequence, run.last_position = len(left.events[RUN]), len(left.entries[RUN])
    return left


def timeless(events: list[Event]) -> list[Event]:
    """Events without what is measured."""
    plain = []
    for event in events:
        copy = Event()
        copy.CopyFrom(event)
        copy.ClearField("event_time")
        if copy.HasField("tool_finished"):
            copy.tool_finished.ClearField("duration")
        for usage in (copy.usage, copy.ended.result.usage):
            if usage.HasField("duration"):
                usage.ClearField("duration")
                usage.ClearField("first_text")
        plain.append(copy)
    return plain


@pytest.fixture
def singly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry and each event is written by itself, so that a process can end between any two."""
    monkeypatch.setattr(recorder, "_MAX_BATCH", 1)


@pytest.mark.timeout(180)
async def test_killed_behind_any_write_a_run_goes_on_and_does_nothing_twice(
    vector: VectorNeighbour, session: SessionNeighbour, singly: None
) -> None:
    shop = Workshop()
    async with house_on(session, vector, registry=shop.registry()) as house:
        whole = await house.run(QUESTION, request_id=REQUEST)
    everything = list(shop.done)
    assert everything == ["look 0", "mail 1", "look 2"]
    assert result_of(whole).result.research.gaps[1] == "mail 1: 2"
    writes = len(session.appends)
    assert writes > 25
    held = SessionNeighbour()
    async with house_on(held, vector, registry=shop.registry()) as house:
        # The last one closes the run.
        for count in range(writes - 1):
            left = cut(session, count)
            held.runs, held.events, held.entries = left.runs, left.events, left.entries
            known = [bytes_of(event.payload) for event in left.events[RUN]]
            # Recorded of the tools: look 0, that mail 1 begins, mail 1, look 2.
            uses = [kind_of(entry) for entry in left.entries[RUN]].count("tool")
            shop.done = everything[: [0, 1, 1, 2, 3][uses]]
            events = await house.run(QUESTION, request_id=REQUEST)
            assert [event.run_id for event in events] == [RUN] * len(events), count
            assert [event.sequence for event in events] == list(range(1, len(events) + 1)), count
            assert [bytes_of(event.payload) for event in left.events[RUN]][: len(known)] == known, count
            assert left.runs[RUN].takeovers == 1
            if uses == 2:
                # Nobody knows whether the mail went out; it is not sent again.
                assert events[-1].ended.error.reason == "TOOL_OUTCOME_UNKNOWN"
                assert shop.done == ["look 0"]
            else:
                assert shop.done == everything, count
                assert timeless(events) == timeless(whole), count
            repeated, outcome = await replayed(house, RUN)
            assert outcome.identical, (count, outcome)
            assert list(map(bytes_of, repeated)) == list(map(bytes_of, events)), count


async def test_what_a_model_had_written_when_the_process_ended_is_taken_back(
    vector: VectorNeighbour, session: SessionNeighbour, singly: None
) -> None:
    with ModelServer(Stall("It was in 18")) as server:
        async with house_on(session, vector, server.base_url) as house:
            call = house.stub.RunAgent(
                agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION, request_id=REQUEST)
            )
            async for event in call:
                if event.HasField("text"):
                    break
            async with asyncio.timeout(5):
                while not any(append.events and streamed_of(append) for append in session.appends):
                    await asyncio.sleep(0.02)
            writes = len(session.appends)
            call.cancel()
    left = cut(session, writes)
    with ModelServer(Answer("It was built in 1884 [1].")) as server:
        async with house_on(left, vector, server.base_url) as house:
            events = await house.run(QUESTION, request_id=REQUEST)
            assert result_of(events).text == "It was built in 1884 [1]."
            assert streamed(events) == result_of(events).text
            assert [event.text.text for event in events if event.text.reset] == [""]
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            # Once more from the record, without any of the others.
            vector.faults.error = unavailable()
            server.close()
            repeated, outcome = await replayed(house, RUN)
            assert outcome.identical, outcome
            assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))


def streamed_of(append: session_pb2.AppendRunEventsRequest) -> bool:
    payload = Event()
    append.events[0].payload.Unpack(payload)
    return payload.HasField("text")


async def test_a_replay_needs_nothing_but_the_record_and_is_identical(
    vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    agent = clerk.Clerk(with_tool=True)
    session.open("s-1", "meld_rag_vectors")
    settings = {"meld_model_capabilities": "gpt-4=tools+json_schema", "meld_model_prices": "gpt-4=10/30"}
    steps = (
        Answer("It was built in 1884 [1].", delay=0.05),
        Calls([("look", '{"at": "the lamp"}')]),
        Answer(clerk.gaps("Who built it?")),
    )
    made = clerk.registry(agent.compose)
    with ModelServer(*steps) as server:
        async with house_on(session, vector, server.base_url, registry=made, **settings) as house:
            events = await house.run(QUESTION, agent_id="research", session_id="s-1")
    assert list(result_of(events).result.research.gaps) == ["Who built it?"]
    run_id = events[0].run_id
    vector.faults.error = unavailable()
    asked = (len(vector.faults.calls), len(agent.looked), len(session.messages["s-1"]), len(session.appends))
    # No model is configured any more, prices and limits are others, and nothing but the record answers.
    others = {"meld_max_model_calls": 1, "meld_model_prices": "gpt-4=1/1"}
    async with house_on(session, vector, registry=made, **others) as house:
        await asyncio.sleep(0)
        for _ in range(2):
            repeated, outcome = await replayed(house, run_id)
            assert outcome.identical, outcome
            assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))
        learnt = [call for call in vector.faults.calls[asked[0] :] if call != "EmbedTexts"]
        assert learnt == [], "only routing tries to learn its examples"
    assert (len(agent.looked), len(session.messages["s-1"]), len(session.appends)) == asked[1:]


async def test_auto_and_an_answer_without_a_model_are_repeated_too(
    open_house: Open, vector: VectorNeighbour
) -> None:
    house = await open_house()
    events = await house.run(QUESTION, agent_id="auto")
    vector.collections.clear()
    vector.faults.error = unavailable()
    repeated, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))
    assert "routing" in kinds(repeated)


async def test_a_run_that_failed_fails_again_in_the_same_way(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    house = await open_house()
    vector.faults.methods, vector.faults.error = {"VerifyCitations"}, unavailable()
    events = await house.run(QUESTION)
    assert events[-1].ended.outcome == agents_pb2.RUN_OUTCOME_FAILED
    vector.faults.error = None
    await settled(session, events[0].run_id, session_pb2.RUN_STATE_FAILED)
    repeated, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))


def with_prompt(prompt: str) -> Registry:
    """The roster, with another prompt of research."""
    return Registry(
        replace(h, prompt=prompt) if h.definition.agent_id == "research" else h for h in Registry()
    )


async def test_a_changed_prompt_is_the_first_difference(
    vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    with ModelServer(Answer("It was built in 1884 [1].")) as server:
        async with house_on(session, vector, server.base_url, registry=with_prompt("Be brief.")) as house:
            events = await house.run(QUESTION)
    async with house_on(session, vector, registry=with_prompt("Be brave.")) as house:
        repeated, outcome = await replayed(house, events[0].run_id)
    assert not outcome.identical
    difference = outcome.difference
    assert difference.kind == "model"
    assert difference.path == "$.messages[0].text from character 5"
    assert difference.recorded.startswith("Be brief.")
    assert difference.repeated.startswith("Be brave.")
    assert kind_of(session.entries[events[0].run_id][difference.position - 1]) == "model"
    # Up to there all is the same.
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events[: len(repeated)]))
    assert kinds(repeated) == ["started", "passages"]


async def test_a_changed_agent_is_told_by_the_first_other_event_or_by_the_result(
    vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    def composing(gap: str) -> Registry:
        async def compose(work: Work[Any]) -> results_pb2.ResearchResult:
            return results_pb2.ResearchResult(gaps=[gap])

        return clerk.registry(compose)

    async with house_on(session, vector, registry=composing("old")) as house:
        events = await house.run(QUESTION)
    async with house_on(session, vector, registry=composing("new")) as house:
        _, outcome = await replayed(house, events[0].run_id)
    assert (outcome.difference.kind, outcome.difference.recorded, outcome.difference.repeated) == (
        *("event", "old", "new"),
    )
    assert "gaps[0]" in outcome.difference.path
    at = outcome.difference.position
    assert kinds(events)[at - 1] == "result"


async def refused(house: Client, run_id: str) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await replayed(house, run_id)
    return caught.value


async def test_what_cannot_be_repeated_says_why(
    open_house: Open, session: SessionNeighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house()
    assert (await refused(house, "run_00000000000000000000000000")).reason == "RUN_NOT_FOUND"
    events = await house.run(QUESTION)
    entries, session.entries[events[0].run_id] = session.entries[events[0].run_id], []
    error = await refused(house, events[0].run_id)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_REPLAYABLE")
    assert "no journal" in error.metadata["cause"]
    session.entries[events[0].run_id] = entries
    session.runs[events[0].run_id].state = session_pb2.RUN_STATE_RUNNING
    assert "at work" in (await refused(house, events[0].run_id)).metadata["cause"]
    # A run that learns more than is kept goes on, and says so.
    monkeypatch.setattr(journal, "MAX_BYTES", 1_500)
    large = result_of(await house.run(QUESTION))
    assert "1884" in large.text
    ((component, reason),) = [(item.component, item.reason) for item in large.degradations]
    assert component == "journal"
    assert "1500 bytes" in reason
    assert "1500 bytes" in (await refused(house, large.run_id)).metadata["cause"]


async def test_a_detached_run_is_taken_over_by_itself_and_by_one_replica(
    vector: VectorNeighbour, session: SessionNeighbour, singly: None
) -> None:
    first = Workshop()
    async with house_on(session, vector, registry=first.registry()) as house:
        whole = await house.run(QUESTION, request_id=REQUEST, detached=True)
    uses = [n for n, append in enumerate(session.appends) if "tool" in map(kind_of, append.entries)]
    left = cut(session, uses[0] + 1)
    shops = [Workshop(), Workshop()]
    ports = [free_port() for _ in shops]
    async with (
        hosted("vector", vector) as vectors,
        hosted("session", left) as sessions,
        agents_house(
            *(vectors, sessions),
            registry=shops[0].registry(),
            meld_agents_address=f"127.0.0.1:{ports[0]}",
        ),
        agents_house(
            *(vectors, sessions),
            registry=shops[1].registry(),
            meld_agents_address=f"127.0.0.1:{ports[1]}",
        ),
    ):
        await settled(left, RUN, session_pb2.RUN_STATE_SUCCEEDED, 15)
    assert left.runs[RUN].takeovers == 1
    assert sorted(shop.done for shop in shops) == [[], ["mail 1", "look 2"]]
    recorded = [event.sequence for event in left.events[RUN]]
    assert recorded == list(range(1, len(whole) + 1))


async def test_a_run_that_would_go_another_way_now_is_closed(
    vector: VectorNeighbour, session: SessionNeighbour, singly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release with another prompt came in between."""
    monkeypatch.setattr(journal, "_DRAIN_SECONDS", 0.2)
    with ModelServer(Answer("It was built in 1884 [1].")) as server:
        async with house_on(session, vector, server.base_url, registry=with_prompt("Be brief.")) as house:
            await house.run(QUESTION, request_id=REQUEST)
    left = cut(session, len(session.appends) - 2)
    with ModelServer() as server:
        async with house_on(left, vector, server.base_url, registry=with_prompt("Be brave.")) as house:
            events = await house.run(QUESTION, request_id=REQUEST)
    ended = events[-1].ended
    assert ended.error.reason == "RUN_INTERRUPTED"
    assert "Be brave." in ended.error.message
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert left.runs[RUN].state == session_pb2.RUN_STATE_FAILED


async def test_a_run_that_ends_every_process_is_given_up(
    vector: VectorNeighbour, session: SessionNeighbour, singly: None
) -> None:
    async with house_on(session, vector) as house:
        await house.run(QUESTION, request_id=REQUEST)
    left = cut(session, 5)
    left.runs[RUN].takeovers = 3
    async with house_on(left, vector) as house:
        events = await house.run(QUESTION, request_id=REQUEST)
    assert left.runs[RUN].state == session_pb2.RUN_STATE_FAILED
    assert events[0].run_id == derived_run_id("local", REQUEST, 1)


async def test_a_run_whose_caller_is_gone_for_good_is_closed(
    vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    run_id = "run_" + "0" * 26
    run = session_pb2.Run(run_id=run_id, agent_id="research", state=session_pb2.RUN_STATE_RUNNING)
    run.request.Pack(agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION))
    run.owner = "127.0.0.1:50051#gone"
    run.create_time.GetCurrentTime()
    session.runs[run_id], session.events[run_id] = run, []
    async with house_on(session, vector):
        await settled(session, run_id, session_pb2.RUN_STATE_FAILED)


async def test_who_loses_a_run_stops(vector: VectorNeighbour, session: SessionNeighbour) -> None:
    with ModelServer(Stall("It was ")) as server:
        async with house_on(session, vector, server.base_url) as house:
            call = house.stub.RunAgent(
                agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION), timeout=20
            )
            event = await anext(aiter(call))
            session.runs[event.run_id].owner = "127.0.0.1:50051#heir"
            rest = [later async for later in call]
            (exchange,) = server.chats
            assert await asyncio.to_thread(exchange.wait_abandoned, 5)
    assert rest[-1].ended.error.reason == "RUN_INTERRUPTED"
    assert session.runs[event.run_id].state == session_pb2.RUN_STATE_RUNNING
