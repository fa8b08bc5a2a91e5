from __future__ import annotations

import asyncio
import time

import pytest

from services.agents.ports import Decision
from services.agents.workflow.approvals import Approvals
from services.agents.workflow.ports import Question
from services.chassis.errors import FailedPreconditionError

YES, NO = Decision(approved=True, made=True), Decision(approved=False, made=True)


def question(seconds: float, *, approve: bool = False) -> Question:
    return Question("ok", "Shall we?", time.time() + seconds, approve)


@pytest.fixture
async def approvals() -> Approvals:
    return Approvals("run_1")


async def test_a_decision_ends_when_it_is_noted(approvals: Approvals) -> None:
    waiting = asyncio.create_task(approvals.wait(question(30), asyncio.Event()))
    await asyncio.sleep(0)
    deciding = asyncio.create_task(approvals.decide("ok", YES))
    assert await waiting == YES
    await asyncio.sleep(0)
    assert not deciding.done(), "nothing has it yet"
    approvals.note("ok", YES)
    await deciding
    await approvals.decide("ok", YES)
    with pytest.raises(FailedPreconditionError) as caught:
        await approvals.decide("ok", NO)
    assert (caught.value.reason, caught.value.metadata["step_id"]) == ("STEP_NOT_WAITING", "ok")


@pytest.mark.parametrize("approve", [True, False])
async def test_nobody_decides(approvals: Approvals, *, approve: bool) -> None:
    decision = await approvals.wait(question(0.01, approve=approve), asyncio.Event())
    assert decision == Decision(approved=approve)
    approvals.note("ok", decision)
    with pytest.raises(FailedPreconditionError):
        await approvals.decide("ok", Decision(approved=approve, made=True))


async def test_a_time_that_has_passed_is_no_wait(approvals: Approvals) -> None:
    assert await approvals.wait(question(-100), asyncio.Event()) == Decision(approved=False)


async def test_a_stop_ends_the_wait(approvals: Approvals) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(approvals.wait(question(30), stop))
    await asyncio.sleep(0)
    stop.set()
    assert (await waiting).stopped
