"""How runs end: callers that leave, cancels, detached runs, repeated requests, the end of the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import session_pb2
from services.agents.runs import derived_run_id
from services.agents.servicer import SERVICE, AgentServicer
from services.chassis.channel import open_aio_channel
from services.chassis.errors import AbortedError, FailedPreconditionError, ServiceError, from_rpc_error
from tests.contract.agents.conftest import Client, result_of
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, unavailable
from tests.support.model_server import Answer, Hang, ModelServer, Stall
from tests.support.waits import promised

QUESTION = "When was the lighthouse of Brava built?"
Open = Callable[..., Any]


async def settled(session: SessionNeighbour, run_id: str, state: int, seconds: float = 5) -> None:
    """Waits until the record of a run has this state."""
    async with asyncio.timeout(seconds):
        while run_id not in session.runs or session.runs[run_id].state != state:
            await asyncio.sleep(0.02)


def request(**fields: Any) -> agents_pb2.RunAgentRequest:
    """A request to the research agent."""
    return agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION, **fields)


async def first_text(call: Any) -> agents_pb2.RunAgentResponse:
    """Reads up to the first text."""
    async for event in call:
        if event.HasField("text"):
            return event
    raise AssertionError("the run ended without text")


async def test_a_caller_that_leaves_stops_the_model(open_house: Open, session: SessionNeighbour) -> None:
    with ModelServer(Stall("It was ")) as server:
        house = await open_house(server.base_url)
        call = house.stub.RunAgent(request(), timeout=30)
        event = await first_text(call)
        left = time.monotonic()
        call.cancel()
        (exchange,) = server.chats
        assert await asyncio.to_thread(exchange.wait_abandoned, 5)
        assert exchange.abandoned is not None
        assert exchange.abandoned - left < 1.0
    await settled(session, event.run_id, session_pb2.RUN_STATE_CANCELLED)
    assert not session.messages


async def test_a_caller_whose_connection_dies_stops_the_model(
    open_house: Open, session: SessionNeighbour
) -> None:
    with ModelServer(Hang()) as server:
        house = await open_house(server.base_url)
        async with open_aio_channel(house.address, SERVICE) as channel:
            call = agents_pb2_grpc.AgentServiceStub(channel).RunAgent(request(), timeout=30)
            event = await anext(aiter(call))
            await asyncio.to_thread(server.wait_chats, 1)
        (exchange,) = server.chats
        assert await asyncio.to_thread(exchange.wait_abandoned, 2)
    await settled(session, event.run_id, session_pb2.RUN_STATE_CANCELLED)


async def test_a_deadline_that_passes_is_recorded_as_a_failure(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    vector.faults.methods, vector.faults.delay = {"VerifyCitations"}, 30
    house = await open_house()
    started = time.monotonic()
    outcome: Any
    try:
        events = await house.run(QUESTION, seconds=1.0)
        outcome = events[-1].ended.error.reason
    except ServiceError as error:
        outcome = error.reason
    assert time.monotonic() - started < promised(2.0)
    assert outcome in {"RETRIEVAL_UNAVAILABLE", "UPSTREAM_DEADLINE", "DEADLINE"}
    (run_id,) = session.runs
    await settled(session, run_id, session_pb2.RUN_STATE_FAILED)


async def test_cancel_ends_the_run_and_its_stream(open_house: Open, session: SessionNeighbour) -> None:
    with ModelServer(Stall("It was ")) as server:
        house = await open_house(server.base_url)
        call = house.stub.RunAgent(request(), timeout=30)
        event = await first_text(call)
        asked = time.monotonic()
        answer = await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=event.run_id))
        assert answer.cancelled
        rest = [later async for later in call]
        (exchange,) = server.chats
        assert await asyncio.to_thread(exchange.wait_abandoned, 2)
        assert exchange.abandoned is not None
        assert exchange.abandoned - asked < 1.0
    assert rest[-1].ended.outcome == agents_pb2.RUN_OUTCOME_CANCELLED
    assert not rest[-1].ended.HasField("result")
    await settled(session, event.run_id, session_pb2.RUN_STATE_CANCELLED)


async def test_cancelling_an_ended_run_changes_nothing(open_house: Open) -> None:
    house = await open_house()
    run_id = (await house.run(QUESTION))[0].run_id
    answer = await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=run_id))
    assert not answer.cancelled


async def test_cancelling_an_unknown_run_is_an_error(open_house: Open) -> None:
    house = await open_house()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id="run_nobody"))
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND")


async def test_a_detached_run_goes_on_without_its_caller(open_house: Open, session: SessionNeighbour) -> None:
    session.open("s-1")
    with ModelServer(Answer("It was built in 1884 [1].", delay=0.2)) as server:
        house = await open_house(server.base_url)
        call = house.stub.RunAgent(request(detached=True, session_id="s-1"), timeout=30)
        event = await anext(aiter(call))
        call.cancel()
        await settled(session, event.run_id, session_pb2.RUN_STATE_SUCCEEDED, 10)
    assert session.messages["s-1"][1].text == "It was built in 1884 [1]."
    assert len(session.events[event.run_id]) == session.runs[event.run_id].last_sequence


async def test_a_detached_run_outlives_its_callers_deadline(
    open_house: Open, session: SessionNeighbour
) -> None:
    with ModelServer(Answer("It was built in 1884 [1].", first_delay=2.0)) as server:
        house = await open_house(server.base_url)
        call = house.stub.RunAgent(request(detached=True), timeout=1.0)
        event = await anext(aiter(call))
        await settled(session, event.run_id, session_pb2.RUN_STATE_SUCCEEDED, 10)
    assert session.runs[event.run_id].state == session_pb2.RUN_STATE_SUCCEEDED


async def test_a_repeated_request_is_answered_from_the_record(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.open("s-1")
    with ModelServer(Answer("It was built in 1884 [1].")) as server:
        house = await open_house(server.base_url)
        first = await house.run(QUESTION, request_id="r-1", session_id="s-1")
        again = await house.run(QUESTION, request_id="r-1", session_id="s-1")
        other_house = await open_house(server.base_url)
        elsewhere = await other_house.run(QUESTION, request_id="r-1", session_id="s-1")
    assert first == again == elsewhere
    assert len(session.messages["s-1"]) == 2
    assert len(session.runs) == 1


async def test_a_request_that_is_being_answered_is_not_begun_again(open_house: Open) -> None:
    with ModelServer(Answer("It was built in 1884 [1].", first_delay=1.0)) as server:
        house = await open_house(server.base_url)
        calls = [house.run(QUESTION, request_id="r-1") for _ in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, AbortedError)]
        assert len(refused) == 4
        assert {error.reason for error in refused} == {"RUN_IN_PROGRESS"}
        assert len(server.chats) == 1


async def test_a_request_id_belongs_to_one_request(open_house: Open) -> None:
    house = await open_house()
    await house.run(QUESTION, request_id="r-1")
    error = await house.refusal("What does rye bread cost?", request_id="r-1")
    assert (type(error), error.reason) == (FailedPreconditionError, "REQUEST_ID_REUSED")
    assert error.metadata["request_id"] == "r-1"


async def test_a_request_that_failed_may_be_tried_again(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    house = await open_house()
    vector.faults.methods, vector.faults.error = {"Search"}, unavailable()
    await house.refusal(QUESTION, request_id="r-1")
    await settled(session, derived_run_id("local", "r-1", 0), session_pb2.RUN_STATE_FAILED)
    vector.faults.error = None
    events = await house.run(QUESTION, request_id="r-1")
    assert "1884" in result_of(events).text
    assert events[0].run_id == derived_run_id("local", "r-1", 1)


async def test_a_run_cut_off_by_a_crash_is_closed_and_tried_again(
    open_house: Open, session: SessionNeighbour
) -> None:
    """What a killed process leaves: a running record, and perhaps the exchange."""
    session.open("s-1")
    house = await open_house()
    asked = request(request_id="r-1", session_id="s-1")
    dead = derived_run_id("local", "r-1", 0)
    run = session_pb2.Run(run_id=dead, session_id="s-1", agent_id="research")
    run.request.Pack(asked, deterministic=True)
    run.state, run.last_sequence = session_pb2.RUN_STATE_RUNNING, 1
    run.create_time.FromSeconds(1_700_000_000)
    session.runs[dead], session.events[dead] = run, [session_pb2.RunEvent(sequence=1)]
    first = [event async for event in house.stub.RunAgent(asked, timeout=20)]
    assert session.runs[dead].state == session_pb2.RUN_STATE_FAILED
    assert first[0].run_id == derived_run_id("local", "r-1", 1)
    again = [event async for event in house.stub.RunAgent(asked, timeout=20)]
    assert again == first
    assert len(session.messages["s-1"]) == 2


async def test_the_exchange_of_a_cut_off_run_is_not_appended_twice(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.open("s-1")
    house = await open_house()
    await house.run(QUESTION, request_id="r-1", session_id="s-1")
    # The exchange was stored; the process died before the record was closed.
    run = session.runs[derived_run_id("local", "r-1", 0)]
    run.state = session_pb2.RUN_STATE_RUNNING
    run.create_time.FromSeconds(1_700_000_000)
    await house.run(QUESTION, request_id="r-1", session_id="s-1")
    assert len(session.messages["s-1"]) == 2


async def test_without_the_record_a_request_id_still_answers(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.faults.error = unavailable()
    house = await open_house(meld_session_wait_seconds=0.25)
    events = await house.run(QUESTION, request_id="r-1")
    assert not events[0].started.recorded
    assert "1884" in result_of(events).text


def test_every_method_of_the_contract_is_offered() -> None:
    assert {method.name for method in SERVICE.methods} <= set(vars(AgentServicer))


@pytest.mark.parametrize("detached", [False, True])
async def test_a_stop_ends_runs_and_leaves_detached_ones_to_the_next_process(
    vector: VectorNeighbour, session: SessionNeighbour, *, detached: bool
) -> None:
    from tests.contract.agents.conftest import agents_house
    from tests.contract.agents.neighbours import hosted

    async with hosted("vector", vector) as vectors, hosted("session", session) as sessions:
        with ModelServer(Hang()) as server:
            async with agents_house(vectors, sessions, server.base_url) as house:
                call = house.stub.RunAgent(request(detached=detached), timeout=30)
                event = await anext(aiter(call))
                await asyncio.to_thread(server.wait_chats, 1)
                stopping = time.monotonic()
            assert time.monotonic() - stopping < promised(4.0)
            assert await asyncio.to_thread(server.chats[0].wait_abandoned, 10)
        if not detached:
            assert session.runs[event.run_id].state == session_pb2.RUN_STATE_CANCELLED
            return
        assert session.runs[event.run_id].state == session_pb2.RUN_STATE_RUNNING
        with ModelServer(Answer("It was built in 1884 [1].")) as server:
            async with agents_house(vectors, sessions, server.base_url):
                await settled(session, event.run_id, session_pb2.RUN_STATE_SUCCEEDED, 10)
        sequences = [recorded.sequence for recorded in session.events[event.run_id]]
        assert sequences == list(range(1, len(sequences) + 1))


async def test_health_names_each_dependency(open_house: Open, vector: VectorNeighbour) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    serving = health_pb2.HealthCheckResponse.SERVING
    with ModelServer() as server:
        house = await open_house(server.base_url, session_address="127.0.0.1:1", health_check_interval=0.2)
        async with open_aio_channel(house.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)

            async def check(name: str) -> bool:
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
                return bool(answer.status == serving)

            assert await check("")
            assert await check("vector")
            assert await check("model")
            assert not await check("session")
            server.close()
            async with asyncio.timeout(5):
                while await check("model"):
                    await asyncio.sleep(0.05)
            assert await check("")
        assert not server.chats


async def test_lists_and_gets_the_twelve(open_house: Open) -> None:
    house: Client = await open_house()
    listed = await house.stub.ListAgents(agents_pb2.ListAgentsRequest())
    assert [agent.agent_id for agent in listed.agents] == [
        *("ceo", "executor", "triage", "research", "performance", "coaching"),
        *("code_analyzer", "code_debugger", "code_repair", "test_generator", "image", "audio"),
    ]
    pages = await house.stub.ListAgents(agents_pb2.ListAgentsRequest(page_size=5))
    rest = await house.stub.ListAgents(
        agents_pb2.ListAgentsRequest(page_size=50, page_token=pages.next_page_token)
    )
    assert [*pages.agents, *rest.agents] == list(listed.agents)
    assert not rest.next_page_token
    got = await house.stub.GetAgent(agents_pb2.GetAgentRequest(agent_id="ceo"))
    assert got.agent == listed.agents[0]
    assert got.agent.input_schema["properties"]["options"]["type"] == "array"
    for call in (
        house.stub.GetAgent(agents_pb2.GetAgentRequest(agent_id="wizard")),
        house.stub.ListAgents(agents_pb2.ListAgentsRequest(page_token="forged")),
        house.stub.ListAgents(agents_pb2.ListAgentsRequest(page_size=-1)),
        house.stub.RouteTask(agents_pb2.RouteTaskRequest(message=" ")),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_route_says_whom_how_sure_and_why(open_house: Open) -> None:
    house: Client = await open_house()
    route = await house.stub.RouteTask(agents_pb2.RouteTaskRequest(message="Transcribe this recording"))
    assert route.agent_id == "audio"
    assert 0 < route.confidence <= 1
    assert route.reasons
    assert len(route.alternatives) == 3
    assert route.confidence >= route.alternatives[0].confidence
