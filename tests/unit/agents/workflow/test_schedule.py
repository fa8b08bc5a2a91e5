"""What begins when, without runs: the stage is told how each step ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from meldrag.agents.v1 import workflow_pb2
from services.agents.ports import Decision
from services.agents.workflow.ports import Answer, Ended, Question, Task
from services.agents.workflow.schedule import Schedule
from services.agents.workflow.values import Values
from tests.unit.agents.workflow.test_graph import checked, step

DONE = Ended(workflow_pb2.STEP_STATE_SUCCEEDED, text="done")
FAILED = Ended.failed("TOLD_TO", "it was told to", again=True)


class ScriptedStage:
    """Ends steps as `ends` says, once `let` has them; all when it is None."""

    def __init__(self, ends: dict[str, list[Ended]] | None = None, *, hold: bool = False) -> None:
        self.ends = ends or {}
        self.told: list[str] = []
        self.tasks: list[Task] = []
        self.time = 0.0
        self.gates: dict[str, asyncio.Event] = {}
        self.hold = hold

    def now(self) -> float:
        self.time += 1
        return self.time

    def deadline(self, seconds: float) -> float:
        return self.time + seconds

    def tell(self, change: workflow_pb2.StepState, step_id: str, **told: Any) -> None:
        self.told.append(f"{step_id} {workflow_pb2.StepState.Name(change).removeprefix('STEP_STATE_')}")

    def name(self, step_id: str, attempt: int) -> str:
        return f"{step_id}-{attempt}"

    def perform(self, task: Task, stop: asyncio.Event) -> Coroutine[Any, Any, Ended]:
        self.tasks.append(task)
        return self._perform(task, stop)

    async def _perform(self, task: Task, stop: asyncio.Event) -> Ended:
        if self.hold:
            await self.gates.setdefault(task.step_id, asyncio.Event()).wait()
        if stop.is_set():
            return Ended(workflow_pb2.STEP_STATE_CANCELLED)
        ends = self.ends.get(task.step_id, [DONE])
        return ends[min(task.attempt, len(ends)) - 1]

    async def decide(self, question: Question, stop: asyncio.Event) -> Decision:
        return Decision(approved=True)

    async def meld(self, question: str, answers: tuple[Answer, ...]) -> Ended:
        return Ended(workflow_pb2.STEP_STATE_SUCCEEDED, text=" + ".join(answer.text for answer in answers))


def scheduled(stage: ScriptedStage, *plain: dict[str, Any]) -> Schedule:
    graph = checked(*plain)
    return Schedule(graph, Values(graph, "Do it.", {}), stage)


def ended(schedule: Schedule) -> dict[str, str]:
    return {
        step_id: workflow_pb2.StepState.Name(report.state).removeprefix("STEP_STATE_")
        for step_id, report in schedule.reports.items()
    }


async def test_what_follows_from_an_end_is_told_before_the_next_end() -> None:
    stage = ScriptedStage()
    await scheduled(stage, step("a"), step("b"), step("c", after=["a"]), step("d", after=["b", "c"])).run()
    assert stage.told == [
        *("a RUNNING", "b RUNNING", "a SUCCEEDED", "c RUNNING", "b SUCCEEDED", "c SUCCEEDED", "d RUNNING"),
        "d SUCCEEDED",
    ]


async def test_eight_at_once_and_the_rest_in_order() -> None:
    stage = ScriptedStage(hold=True)
    work = asyncio.create_task(scheduled(stage, *(step(f"s{n}") for n in range(10))).run())
    while len(stage.gates) < 8:
        await asyncio.sleep(0)
    assert [task.step_id for task in stage.tasks] == [f"s{n}" for n in range(8)]
    stage.gates["s5"].set()
    while len(stage.gates) < 9:
        await asyncio.sleep(0)
    assert stage.told[-2:] == ["s5 SUCCEEDED", "s8 RUNNING"]
    stage.hold = False
    for gate in stage.gates.values():
        gate.set()
    await work


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        ("STOP", {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED", "d": "SUCCEEDED", "e": "CANCELLED"}),
        ("SKIP", {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED", "d": "SUCCEEDED", "e": "SUCCEEDED"}),
        ("CONTINUE", {"a": "FAILED", "b": "SUCCEEDED", "c": "SUCCEEDED", "d": "SUCCEEDED", "e": "SUCCEEDED"}),
    ],
)
async def test_policies(policy: str, states: dict[str, str]) -> None:
    stage = ScriptedStage({"a": [FAILED]})
    schedule = scheduled(
        stage,
        step("d"),
        step("a", on_failure=f"FAILURE_POLICY_{policy}", after=["d"]),
        step("b", after=["a"]),
        step("c", after=["b"]),
        step("e", after=["d"], message="{c2.state}"),
        step("c2", after=["d"], condition={"source": "d.state", "value": "FAILED"}),
    )
    await schedule.run()
    assert {key: value for key, value in ended(schedule).items() if key != "c2"} == states


async def test_tries_end_with_success_or_with_what_does_not_help() -> None:
    final = Ended.failed("INPUTS_INVALID", "never")
    stage = ScriptedStage({"a": [FAILED, DONE], "b": [final]})
    schedule = scheduled(
        stage, step("a", attempts=5), step("b", attempts=5, on_failure="FAILURE_POLICY_CONTINUE")
    )
    await schedule.run()
    assert [(task.step_id, task.attempt) for task in stage.tasks] == [("a", 1), ("b", 1), ("a", 2)]
    assert {step_id: report.attempts for step_id, report in schedule.reports.items()} == {"a": 2, "b": 1}


async def test_the_answer_is_that_of_the_last_steps_that_have_one() -> None:
    stage = ScriptedStage({"c": [FAILED]})
    schedule = scheduled(
        stage,
        step("a"),
        step("b"),
        step("c", after=["a", "b"], on_failure="FAILURE_POLICY_CONTINUE"),
        {"step_id": "ok", "after": ["c"], "approval": {"question": "x"}},
    )
    await schedule.run()
    assert [report.node.step_id for report in schedule.final()] == ["a", "b"]


async def test_a_meld_has_the_answers_that_there_are() -> None:
    stage = ScriptedStage({"b": [FAILED]})
    schedule = scheduled(
        stage,
        step("a"),
        step("b", on_failure="FAILURE_POLICY_CONTINUE"),
        step("c"),
        {"step_id": "all", "after": ["a", "b", "c"], "meld": {}},
    )
    await schedule.run()
    (final,) = schedule.final()
    assert final.outcome is not None
    assert final.outcome.text == "done + done"


async def test_a_defect_of_the_stage_ends_the_schedule_as_it_is() -> None:
    class Broken(ScriptedStage):
        async def _perform(self, task: Task, stop: asyncio.Event) -> Ended:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await scheduled(Broken(), step("a"), step("b")).run()


async def test_whoever_is_cancelled_says_so_of_what_runs() -> None:
    stage = ScriptedStage(hold=True)
    work = asyncio.create_task(scheduled(stage, step("a"), step("b", after=["a"])).run())
    while not stage.gates:
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert stage.told == ["a RUNNING", "a CANCELLED"]
