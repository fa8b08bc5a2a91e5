"""An objective as a workflow: its parts, the agents that fit them, and what has to wait for what."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.routing.parts import split
from services.agents.routing.route import Route
from services.agents.workflow import graph

# Agents that change something outside: somebody approves before they do.
ACTING = frozenset({"executor", "code_repair"})

MAX_PROPOSED = 12
_MAX_MESSAGE = 7_000
_MAX_QUESTION = 1_800
_MAX_TITLE = 80
_MAX_OWNER = 200
# Between two parts, or at the beginning of the second one.
_SEQUENCE = r"(?:and\s+)?(?:then|after\s+that|afterwards|thereafter|finally|lastly|next|subsequently)\b"
_SAYS_THEN = re.compile(rf"\b{_SEQUENCE}", re.IGNORECASE)
_LEADING = re.compile(
    rf"^(?:[-*•–]\s+|\(?\d{{1,2}}[.)]\s+)?(?:(?:first(?:ly)?|{_SEQUENCE}),?\s+)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Task:
    """Something to be done, and by whom. after: ids of the tasks that it needs."""

    task_id: str
    agent_id: str
    message: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """steps: the workflow; empty where there is nothing to be done. reason: why it is as it is. owners: who
    should answer for a step, by step id."""

    steps: tuple[workflow_pb2.WorkflowStep, ...]
    reason: str
    owners: Mapping[str, str] = field(default_factory=dict)


async def plan(objective: str, route: Callable[[str], Awaitable[Route]], agents: Mapping[str, bool]) -> Plan:
    """The workflow of an objective. agents: the ids, and whether an agent has files among its inputs."""
    stages = staged(objective)
    tasks: list[Task] = []
    before: tuple[str, ...] = ()
    for stage in stages:
        made: list[Task] = []
        for part in stage:
            agent_id = (await route(part)).agent_id
            made.append(Task(f"s{len(tasks) + len(made) + 1}_{agent_id}", agent_id, part, before))
        tasks += made
        before = tuple(task.task_id for task in made)
    if all(task.agent_id in ("ceo", "triage") for task in tasks):
        return Plan((), "The objective is a decision, and names nothing else to be done.")
    count = len(tasks)
    reason = f"{count} part{'s' * (count > 1)} of the objective, each with the agent that fits it best"
    if len(stages) > 1:
        reason += f"; in {len(stages)} stages, as its words say"
    return Plan(tuple(steps(tasks, agents)), f"{reason}.")


def staged(objective: str) -> list[list[str]]:
    """The parts of an objective. Those of one stage can be done at once; a stage comes after the one before
    it, because words say so.
    """
    stages: list[list[str]] = [[]]
    position = 0
    for part in split(objective):
        found = objective.find(part, position)
        # A part that was put together anew is not found; it is safer behind what came before it.
        gap = objective[position:found] if found >= 0 else "then"
        position = found + len(part) if found >= 0 else position
        lead = _LEADING.match(part)
        opening = lead.group() if lead else ""
        if stages[-1] and (_SAYS_THEN.search(gap) or _SAYS_THEN.search(opening)):
            stages.append([])
        stages[-1].append(part[len(opening) :].strip() or part)
    return stages


def steps(tasks: Sequence[Task], agents: Mapping[str, bool]) -> list[workflow_pb2.WorkflowStep]:
    """The tasks as steps. What a task needs is told to it; before one that acts somebody approves."""
    made: list[workflow_pb2.WorkflowStep] = []
    for task in tasks:
        after = list(task.after)
        if task.agent_id in ACTING:
            approval = f"approve_{task.task_id}"
            made.append(
                workflow_pb2.WorkflowStep(
                    step_id=approval,
                    after=after,
                    title="Approval",
                    approval=workflow_pb2.ApprovalStep(
                        question=f"Shall {task.agent_id} do this? {_plain(task.message)}"[:_MAX_QUESTION]
                    ),
                    on_failure=workflow_pb2.FAILURE_POLICY_SKIP,
                )
            )
            after.append(approval)
        told = "".join(f"\n\n{name} found:\n{{{name}.text}}" for name in task.after)
        made.append(
            workflow_pb2.WorkflowStep(
                step_id=task.task_id,
                agent_id=task.agent_id,
                after=after,
                message=_plain(task.message)[:_MAX_MESSAGE] + told,
                bindings=_bindings(task, agents),
                title=_title(task.message),
                on_failure=workflow_pb2.FAILURE_POLICY_SKIP,
            )
        )
    return made


def _bindings(task: Task, agents: Mapping[str, bool]) -> list[workflow_pb2.StepBinding]:
    """Code that the workflow is given goes to every step that can take some."""
    if not agents.get(task.agent_id):
        return []
    return [workflow_pb2.StepBinding(input="files", source="inputs.files", optional=True)]


def read(proposed: results_pb2.ProposedPlan, agents: Mapping[str, bool]) -> Plan:
    """A plan that a model proposes, whose graph nobody has checked yet. Raises ValueError with what is wrong
    with it.
    """
    if not 1 <= len(proposed.steps) <= MAX_PROPOSED:
        raise ValueError(f"a plan has 1 to {MAX_PROPOSED} steps, this one {len(proposed.steps)}")
    if silent := [step.step_id for step in proposed.steps if not step.message.strip()]:
        raise ValueError(f"the step {silent[0][:64]!r} has no message")
    tasks = [
        Task(step.step_id, step.agent_id, step.message, tuple(dict.fromkeys(step.after)))
        for step in proposed.steps
    ]
    owners = {step.step_id: step.owner[:_MAX_OWNER] for step in proposed.steps if step.owner.strip()}
    return Plan(tuple(steps(tasks, agents)), "A model proposed it.", owners)


def _plain(text: str) -> str:
    """The text without what a workflow takes for a mark: something that is not seen stands in it."""
    for mark in dict.fromkeys(graph.marks(text)):
        text = text.replace(f"{{{mark}}}", f"{{\u2060{mark}}}")
    return text


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TITLE else f"{line[: _MAX_TITLE - 1]}…"
