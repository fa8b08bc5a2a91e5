"""Workflows that are cancelled, cut off, taken over, repeated, and that wait for somebody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from services.agents import recorder
from services.agents.runs import derived_run_id
from services.chassis.errors import FailedPreconditionError, from_rpc_error
from tests.contract.agents import flows
from tests.contract.agents.conftest import Client, agents_house, result_of
from tests.contract.agents.flows import Gang, Said, changes, outcome, own, states, step
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted
from tests.contract.agents.test_journal import bytes_of, house_on, kind_of, replayed
from tests.contract.agents.test_run_life import settled
from tests.support.redis_server import free_port

Open = Callable[..., Any]
REQUEST = "w-1"
RUN = derived_run_id("local", REQUEST, 0)


def child(step_id: str, attempt: int = 1) -> str:
    """The run of a step of the workflow."""
    return derived_run_id("local", f"{RUN}/{step_id}/{attempt}", 0)


def approval(step_id: str = "ok", **fields: Any) -> dict[str, Any]:
    """An approval step."""
    asked = {"question": "Shall we, with {a.state}?"} | fields
    return {"step_id": step_id, "after": ["a"], "approval": asked}


@pytest.fixture
def gang() -> Gang:
    return Gang()


@pytest.fixture
async def house(open_house: Open, gang: Gang) -> Client:
    made: Client = await open_house(registry=gang.registry())
    return made


async def identical(house: Client, said: list[Said]) -> None:
    """The workflow, done again with nothing but its record, is the same."""
    repeated, compared = await replayed(house, said[-1][1].run_id)
    assert compared.identical, compared
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, own(said)))


async def test_a_workflow_is_repeated_with_nothing_but_its_record(
    house: Client, gang: Gang, vector: VectorNeighbour
) -> None:
    said = await flows.run(
        house,
        step("a"),
        *(step(f"p{n}", f"{n} {{a.gaps.0}}") for n in range(6)),
        step("b", "fail 1", attempts=2, after=["p1", "p2"]),
        step("s", "fail", after=["p3"], on_failure="FAILURE_POLICY_SKIP"),
        step("t", after=["s"]),
        step("c", "{b.text}", after=["p0", "p3", "p4", "p5"]),
    )
    assert states(outcome(said))["c"] == "SUCCEEDED"
    asked = len(gang.asked)
    for _ in range(2):
        await identical(house, said)
    assert len(gang.asked) == asked


async def test_a_stopped_workflow_is_repeated_too(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("held", "hold"), step("a"), step("b", "fail", after=["a"]))
    assert states(outcome(said)) == {"held": "CANCELLED", "a": "SUCCEEDED", "b": "FAILED"}
    await identical(house, said)


async def test_a_workflow_in_a_session_is_one_exchange_of_it(
    house: Client, gang: Gang, session: SessionNeighbour
) -> None:
    session.open("s-1", "meld_rag_vectors")
    said = await flows.run(house, step("a"), step("b", after=["a"]), session_id="s-1", message="Go.")
    assert [message.text for message in session.messages["s-1"]] == ["Go.", said[-1][1].ended.result.text]
    assert [told.session_id for told in session.runs.values()] == ["s-1"] * 3
    for told in outcome(said).steps:
        _, compared = await replayed(house, told.run_id)
        assert compared.identical, compared


async def test_steps_know_what_was_said_before_the_request(
    house: Client, gang: Gang, vector: VectorNeighbour
) -> None:
    events = await house.run(
        "And when was it built?",
        agent_id="executor",
        history=[agents_pb2.PriorTurn(from_caller=True, text="Tell me about the lighthouse of Brava")],
        inputs={"steps": [step("a", "And when was it built?")]},
    )
    searched = [search.query for search in vector.searches]
    assert searched
    assert set(searched) == {"Tell me about the lighthouse of Brava\nAnd when was it built?"}
    (told,) = result_of(events).result.executor.steps
    for run_id in (events[0].run_id, told.run_id):
        _, compared = await replayed(house, run_id)
        assert compared.identical, compared


async def test_the_same_request_again_is_answered_from_the_record(house: Client, gang: Gang) -> None:
    said = await flows.run(house, step("a"), request_id=REQUEST)
    again = await flows.run(house, step("a"), request_id=REQUEST)
    assert list(map(bytes_of, own(again))) == list(map(bytes_of, own(said)))
    assert gang.asked == ["a"]
    with pytest.raises(FailedPreconditionError) as caught:
        await flows.run(house, step("b"), request_id=REQUEST)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def begun(house: Client, *plain: dict[str, Any], **fields: Any) -> Any:
    """A call whose workflow is at work."""
    call = house.stub.RunWorkflow(flows.request(*plain, **fields), timeout=60)
    await anext(aiter(call))
    return call


async def test_a_cancel_reaches_the_runs_below(house: Client, gang: Gang, session: SessionNeighbour) -> None:
    call = await begun(
        house, step("a", "hold"), step("b", "hold"), step("c", after=["a"]), request_id=REQUEST
    )
    await gang.inside_are(2)
    await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=RUN))
    rest = [(said.step_id, said.event) async for said in call]
    assert own(rest)[-1].ended.outcome == agents_pb2.RUN_OUTCOME_CANCELLED
    assert changes(own(rest))[-2:] == ["a CANCELLED", "b CANCELLED"]
    for run_id in (RUN, child("a"), child("b")):
        await settled(session, run_id, session_pb2.RUN_STATE_CANCELLED)
    assert child("c") not in session.runs
    assert gang.inside == 0


async def test_a_caller_that_leaves_stops_all(house: Client, gang: Gang, session: SessionNeighbour) -> None:
    call = await begun(house, step("a", "hold"), request_id=REQUEST)
    await gang.inside_are(1)
    call.cancel()
    for run_id in (RUN, child("a")):
        await settled(session, run_id, session_pb2.RUN_STATE_CANCELLED)


async def test_a_step_that_is_cancelled_by_itself_counts_as_not_done(house: Client, gang: Gang) -> None:
    call = await begun(house, step("a", "hold"), step("b", after=["a"]), request_id=REQUEST)
    await gang.inside_are(1)
    await house.stub.CancelRun(agents_pb2.CancelRunRequest(run_id=child("a")))
    rest = [(said.step_id, said.event) async for said in call]
    assert states(outcome(rest)) == {"a": "CANCELLED", "b": "SKIPPED"}


# -- approvals ---------------------------------------------------------------------------------------------


async def waiting(call: Any) -> agents_pb2.StepChanged:
    """Reads until a step waits."""
    async for said in call:
        if said.event.HasField("step") and flows.state(said.event.step.state) == "WAITING":
            return said.event.step
    raise AssertionError("no step waited")


def decide(
    house: Client, *, approved: bool, step_id: str = "ok", run_id: str = RUN, comment: str = ""
) -> Any:
    return house.stub.DecideStep(
        agents_pb2.DecideStepRequest(run_id=run_id, step_id=step_id, approved=approved, comment=comment)
    )


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_step_waits_for_a_decision(house: Client, gang: Gang, *, approved: bool) -> None:
    plain = (step("a"), approval(timeout="40s"), step("b", "{ok.comment}"))
    call = await begun(house, *plain, request_id=REQUEST)
    asked = await waiting(call)
    assert asked.reason == "Shall we, with SUCCEEDED?"
    assert 20 < asked.decide_before.ToNanoseconds() / 1e9 - time.time() < 40
    assert gang.asked == ["a"]
    await decide(house, approved=approved, comment="do it")
    rest = [(said.step_id, said.event) async for said in call]
    result = outcome(rest)
    if approved:
        assert states(result) == {"a": "SUCCEEDED", "ok": "SUCCEEDED", "b": "SUCCEEDED"}
        assert gang.asked == ["a", "do it"]
    else:
        assert states(result) == {"a": "SUCCEEDED", "ok": "FAILED", "b": "SKIPPED"}
    assert result.steps[1].reason == ("approved: do it" if approved else "rejected: do it")
    _, compared = await replayed(house, RUN)
    assert compared.identical, compared


@pytest.mark.parametrize("approved", [True, False])
async def test_what_counts_when_nobody_decides_is_configured(house: Client, *, approved: bool) -> None:
    said = await flows.run(
        house, step("a"), approval(timeout="1s", approve_on_timeout=approved), step("b", after=["ok"])
    )
    assert states(outcome(said))["ok"] == ("SUCCEEDED" if approved else "FAILED")
    assert "nobody decided" in outcome(said).steps[1].reason
    await identical(house, said)


async def test_a_decision_counts_once(house: Client, gang: Gang) -> None:
    call = await begun(house, step("a"), approval(), step("b", "hold", after=["ok"]), request_id=REQUEST)
    await waiting(call)
    await decide(house, approved=True)
    await gang.inside_are(1)
    await decide(house, approved=True)
    for refused in (
        decide(house, approved=False),
        decide(house, approved=True, step_id="b"),
        decide(house, approved=True, step_id="nobody"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused
        assert from_rpc_error(caught.value).reason == "STEP_NOT_WAITING"
    gang.let_go.set()
    assert states(outcome([(said.step_id, said.event) async for said in call]))["b"] == "SUCCEEDED"
    for run_id, reason in ((RUN, "STEP_NOT_WAITING"), ("run_nobody", "RUN_NOT_FOUND")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await decide(house, approved=False, run_id=run_id)
        assert from_rpc_error(caught.value).reason == reason


async def test_a_decision_reaches_the_replica_that_has_the_run(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang
) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with (
        hosted("vector", vector) as vectors,
        hosted("session", session) as sessions,
        agents_house(vectors, sessions, registry=gang.registry(), meld_agents_address=address) as one,
        agents_house(vectors, sessions, registry=gang.registry()) as other,
    ):
        call = await begun(one, step("a"), approval(), request_id=REQUEST)
        await waiting(call)
        await decide(other, approved=True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await decide(other, approved=False)
        assert from_rpc_error(caught.value).reason == "STEP_NOT_WAITING"
        call.cancel()


async def test_a_stop_ends_a_step_that_waits(house: Client) -> None:
    said = await flows.run(house, step("a"), approval(), step("b", "fail", after=["a"]))
    assert states(outcome(said)) == {"a": "SUCCEEDED", "ok": "CANCELLED", "b": "FAILED"}
    await identical(house, said)


# -- processes that end ------------------------------------------------------------------------------------


def gone(session: SessionNeighbour) -> SessionNeighbour:
    """What is left when the process is killed now."""
    left = SessionNeighbour()
    for run_id, run in session.runs.items():
        copy = session_pb2.Run()
        copy.CopyFrom(run)
        copy.owner = "127.0.0.1:9#gone"
        left.runs[run_id] = copy
        left.events[run_id] = list(session.events[run_id])
        left.entries[run_id] = list(session.entries[run_id])
    return left


async def test_killed_in_the_middle_a_workflow_goes_on_and_does_nothing_twice(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang
) -> None:
    plain = (
        step("a"),
        step("b", "hold it", after=["a"]),
        step("c", after=["a"]),
        step("d", after=["b", "c"]),
    )
    async with house_on(session, vector, registry=gang.registry()) as house:
        call = await begun(house, *plain, request_id=REQUEST)
        await gang.inside_are(1)
        await settled(session, child("c"), session_pb2.RUN_STATE_SUCCEEDED)
        await recorded(session, "c SUCCEEDED")
        left = gone(session)
        call.cancel()
    assert sorted(gang.asked) == ["a", "c", "hold it"]
    known = list(map(bytes_of, recorded_events(left)))
    gang.let_go.set()
    async with house_on(left, vector, registry=gang.registry()) as house:
        said = await flows.run(house, *plain, request_id=REQUEST)
        assert states(outcome(said)) == dict.fromkeys("abcd", "SUCCEEDED")
        # The one that was cut off is done again, in the run that it had; the others are not.
        assert sorted(gang.asked) == ["a", "c", "d", "hold it", "hold it"]
        assert {told.step_id: told.run_id for told in outcome(said).steps} == {s: child(s) for s in "abcd"}
        assert left.runs[child("b")].takeovers == 1
        assert list(map(bytes_of, own(said)))[: len(known)] == known
        assert [event.sequence for event in own(said)] == list(range(1, len(own(said)) + 1))
        await identical(house, said)


def cut(session: SessionNeighbour, count: int) -> SessionNeighbour:
    """What is left when the process is killed behind its `count`th write, of whatever run."""
    left = SessionNeighbour()
    for append in session.appends[:count]:
        run_id = append.run_id
        if run_id not in left.runs:
            run = session_pb2.Run()
            run.CopyFrom(session.runs[run_id])
            run.state, run.owner = session_pb2.RUN_STATE_RUNNING, "127.0.0.1:9#gone"
            run.ClearField("end_time")
            left.runs[run_id], left.events[run_id], left.entries[run_id] = run, [], []
        left.events[run_id] += append.events
        left.entries[run_id] += append.entries
        run = left.runs[run_id]
        run.state = append.state or run.state
        run.last_sequence, run.last_position = len(left.events[run_id]), len(left.entries[run_id])
    return left


@pytest.mark.timeout(240)
async def test_killed_behind_any_write_a_workflow_goes_on(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MAX_BATCH", 1)
    plain = (
        *(
            step("a"),
            step("b", after=["a"]),
            step("c", "{a.gaps.0}"),
            approval(timeout="1s", approve_on_timeout=True),
        ),
        step("d", "fail 1", attempts=2, after=["b", "c"]),
        step("e", "{d.text}"),
    )
    async with house_on(session, vector, registry=gang.registry()) as house:
        whole = outcome(await flows.run(house, *plain, request_id=REQUEST))
        await settled(session, RUN, session_pb2.RUN_STATE_SUCCEEDED)
    assert set(states(whole).values()) == {"SUCCEEDED"}
    held = SessionNeighbour()
    async with house_on(held, vector, registry=gang.registry()) as house:
        for count in range(2, len(session.appends) - 1, 9):
            left = cut(session, count)
            if RUN not in left.runs:
                continue
            held.runs, held.events, held.entries = left.runs, left.events, left.entries
            ended = {
                run_id for run_id, run in left.runs.items() if run.state != session_pb2.RUN_STATE_RUNNING
            }
            known = list(map(bytes_of, recorded_events(left)))
            # It fails once, in whatever process.
            failed = "tool" in map(kind_of, left.entries.get(child("d"), []))
            gang.asked = ["fail 1"] if failed else []
            said = await flows.run(house, *plain, request_id=REQUEST)
            result = outcome(said)
            assert {told.step_id: told.run_id for told in result.steps} == {
                told.step_id: told.run_id for told in whole.steps
            }, count
            assert list(map(bytes_of, own(said)))[: len(known)] == known, count
            assert [event.sequence for event in own(said)] == list(range(1, len(own(said)) + 1)), count
            for run_id in ended:
                assert left.runs[run_id].takeovers == 0, count
            repeated, compared = await replayed(house, RUN)
            assert compared.identical, (count, compared)
            assert list(map(bytes_of, repeated)) == list(map(bytes_of, own(said))), count


async def recorded(session: SessionNeighbour, change: str) -> None:
    """Waits until the workflow's record has this change."""
    async with asyncio.timeout(10):
        while change not in changes(recorded_events(session)):
            await asyncio.sleep(0.02)


def recorded_events(session: SessionNeighbour) -> list[agents_pb2.RunAgentResponse]:
    events = []
    for event in session.events.get(RUN, []):
        payload = agents_pb2.RunAgentResponse()
        event.payload.Unpack(payload)
        events.append(payload)
    return events


async def test_a_service_that_stops_leaves_a_detached_workflow_and_its_runs_to_the_next(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang
) -> None:
    plain = (step("a"), step("b", "hold it", after=["a"]), step("d", after=["b"]))
    async with house_on(session, vector, registry=gang.registry()) as house:
        await begun(house, *plain, request_id=REQUEST, detached=True)
        await gang.inside_are(1)
        await recorded(session, "b RUNNING")
    assert session.runs[RUN].state == session.runs[child("b")].state == session_pb2.RUN_STATE_RUNNING
    gang.let_go.set()
    async with house_on(session, vector, registry=gang.registry()) as house:
        # Nobody asks for it.
        await settled(session, RUN, session_pb2.RUN_STATE_SUCCEEDED, 15)
        assert gang.asked == ["a", "hold it", "hold it", "d"]
        assert session.runs[child("b")].takeovers == 1
        assert changes(recorded_events(session)) == [
            *("a RUNNING", "a SUCCEEDED", "b RUNNING", "b SUCCEEDED", "d RUNNING", "d SUCCEEDED")
        ]
        _, compared = await replayed(house, RUN)
        assert compared.identical, compared


async def decided(house: Client) -> None:
    """Approves as soon as the step waits again."""
    reason = "STEP_NOT_WAITING"
    async with asyncio.timeout(10):
        while reason in ("STEP_NOT_WAITING", "REPLICA_UNAVAILABLE"):
            try:
                await decide(house, approved=True, comment="after the restart")
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error).reason
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(reason)


async def test_waiting_survives_a_restart_with_what_is_left_of_its_time(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang
) -> None:
    plain = (step("a"), approval(timeout="20s"), step("b", after=["ok"]))
    async with house_on(session, vector, registry=gang.registry()) as house:
        call = await begun(house, *plain, request_id=REQUEST, detached=True)
        before = (await waiting(call)).decide_before
        await recorded(session, "ok WAITING")
    async with house_on(session, vector, registry=gang.registry()) as house:
        async with asyncio.timeout(15):
            while session.runs[RUN].takeovers == 0:
                await asyncio.sleep(0.02)
        await decided(house)
        await settled(session, RUN, session_pb2.RUN_STATE_SUCCEEDED, 10)
        told = [e.step for e in recorded_events(session) if e.HasField("step") and e.step.step_id == "ok"]
        assert [change.decide_before for change in told if change.HasField("decide_before")] == [before]
        assert told[-1].reason == "approved: after the restart"
        assert gang.asked == ["a", "b"]


async def test_a_decision_is_kept_by_the_process_that_comes_next(
    vector: VectorNeighbour, session: SessionNeighbour, gang: Gang
) -> None:
    plain = (step("a"), approval(timeout="20s"), step("b", "hold", after=["ok"]))
    async with house_on(session, vector, registry=gang.registry()) as house:
        call = await begun(house, *plain, request_id=REQUEST)
        await waiting(call)
        await decide(house, approved=True, comment="yes")
        # It was acknowledged, so it is in the record.
        left = gone(session)
        call.cancel()
    gang.let_go.set()
    async with house_on(left, vector, registry=gang.registry()) as house:
        said = await flows.run(house, *plain, request_id=REQUEST)
        assert outcome(said).steps[1].reason == "approved: yes"
        await identical(house, said)
