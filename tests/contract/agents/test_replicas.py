"""Two replicas of the agents service over one record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from services.agents.runs import derived_run_id
from services.chassis.errors import AbortedError, ServiceError, from_rpc_error
from tests.contract.agents.conftest import Client, result_of
from tests.contract.agents.neighbours import SessionNeighbour, silent
from tests.contract.agents.test_run_life import QUESTION, first_text, request, settled
from tests.support.model_server import ModelServer, Stall
from tests.support.redis_server import free_port

Open = Callable[..., Any]


async def replica(open_house: Open, model_url: str = "") -> Client:
    """A house whose records name the port that it really has."""
    return await open_house(model_url, meld_agents_address=f"127.0.0.1:{free_port()}")


def recorded(session: SessionNeighbour, owner: str, request_id: str) -> str:
    """The id of a run that is at work now as its record says, put there by `owner`."""
    run_id = derived_run_id("local", request_id, 0)
    run = session_pb2.Run(
        run_id=run_id, agent_id="research", state=session_pb2.RUN_STATE_RUNNING, last_sequence=0, owner=owner
    )
    run.request.Pack(request(request_id=request_id), deterministic=True)
    run.create_time.GetCurrentTime()
    session.runs[run_id], session.events[run_id] = run, []
    return run_id


async def test_a_run_is_cancelled_through_the_replica_that_does_not_have_it(
    open_house: Open, session: SessionNeighbour
) -> None:
    with ModelServer(Stall("It was ")) as server:
        first, second = [await replica(open_house, server.base_url) for _ in range(2)]
        call = first.stub.RunAgent(request(), timeout=30)
        event = await first_text(call)
        answer = await second.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=event.run_id))
        assert answer.cancelled
        (exchange,) = server.chats
        assert await asyncio.to_thread(exchange.wait_abandoned, 5)
        rest = [later async for later in call]
    assert rest[-1].ended.outcome == agents_pb2.RUN_OUTCOME_CANCELLED
    await settled(session, event.run_id, session_pb2.RUN_STATE_CANCELLED)
    again = await second.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=event.run_id))
    assert not again.cancelled


async def test_a_younger_replica_leaves_the_run_of_an_older_one_alone(
    open_house: Open, session: SessionNeighbour
) -> None:
    with ModelServer(Stall("It was ")) as server:
        first = await replica(open_house, server.base_url)
        call = first.stub.RunAgent(request(request_id="r-1", detached=True), timeout=30)
        event = await first_text(call)
        async with asyncio.timeout(5):
            while not session.events.get(event.run_id):
                await asyncio.sleep(0.02)
        second = await replica(open_house, server.base_url)
        refused = await second.refusal(QUESTION, request_id="r-1", detached=True)
        assert (type(refused), refused.reason) == (AbortedError, "RUN_IN_PROGRESS")
        assert session.runs[event.run_id].state == session_pb2.RUN_STATE_RUNNING
        await second.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=event.run_id))
        await settled(session, event.run_id, session_pb2.RUN_STATE_CANCELLED)


async def test_one_request_at_two_replicas_is_worked_on_once(
    open_house: Open, session: SessionNeighbour
) -> None:
    replicas = [await replica(open_house) for _ in range(2)]
    session.faults.delay = 0.1

    async def one(house: Client) -> list[Any] | ServiceError:
        try:
            return await house.run(QUESTION, request_id="r-2")
        except ServiceError as error:
            return error

    outcomes = await asyncio.gather(*map(one, replicas))
    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    answered = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert [error.reason for error in refused] == ["RUN_IN_PROGRESS"]
    assert len(answered) == 1
    assert "1884" in result_of(answered[0]).text
    assert list(session.runs) == [derived_run_id("local", "r-2", 0)]


async def test_the_run_of_a_replica_that_is_gone_is_taken_over(
    open_house: Open, session: SessionNeighbour
) -> None:
    house = await replica(open_house)
    gone = recorded(session, f"127.0.0.1:{free_port()}#gone", "r-3")
    events = await house.run(QUESTION, request_id="r-3")
    assert "1884" in result_of(events).text
    assert events[0].run_id == gone
    assert session.runs[gone].state == session_pb2.RUN_STATE_SUCCEEDED
    assert session.runs[gone].owner.startswith(house.address)


async def test_an_earlier_process_of_the_same_address_is_gone(
    open_house: Open, session: SessionNeighbour
) -> None:
    house = await replica(open_house)
    gone = recorded(session, f"{house.address}#gone", "r-4")
    assert (await house.run(QUESTION, request_id="r-4"))[0].run_id == gone
    assert session.runs[gone].state == session_pb2.RUN_STATE_SUCCEEDED


async def test_a_silent_replica_is_no_reason_to_say_anything_of_its_run(
    open_house: Open, session: SessionNeighbour
) -> None:
    house = await replica(open_house)
    async with silent() as address:
        run_id = recorded(session, f"{address}#silent", "r-5")
        with pytest.raises(Exception, match="does not answer") as caught:
            await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=run_id), timeout=10)
        error = from_rpc_error(caught.value)  # type: ignore[arg-type]
        assert error.reason == "REPLICA_UNAVAILABLE"
        assert (await house.refusal(QUESTION, request_id="r-5")).reason == "RUN_IN_PROGRESS"
    assert session.runs[run_id].state == session_pb2.RUN_STATE_RUNNING
