"""Reads steps as a graph, and refuses those that can never be run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents import json_schema
from services.agents.roster.registry import Registry
from services.agents.validation import MAX_COLLECTIONS
from services.agents.workflow.fitting import Place, misfit
from services.chassis.errors import InvalidArgumentError

MAX_STEPS = 32
MAX_MESSAGE = 8_000
MAX_QUESTION = 2_000
MAX_ATTEMPTS = 5
_MAX_STEP_SECONDS = 30 * 60.0
_MAX_APPROVAL_SECONDS = 24 * 3600.0
_MAX_CAUSE = 300

AUTO = "auto"
# The roots of sources that are no steps.
INPUTS, MESSAGE = "inputs", "message"

_STEP_ID = re.compile(r"[a-z0-9_]{1,64}")
_MARK = re.compile(r"\{(message|[a-z0-9_]{1,64}(?:\.[A-Za-z0-9_]{1,64})+)\}")
_SOURCE = re.compile(r"[a-z0-9_]{1,64}(?:\.[A-Za-z0-9_]{1,64})+")

_MELDED: Any = results_pb2.MeldResult
_TEXT: dict[str, Any] = {"type": "string"}
_STATES = {"enum": [name.removeprefix("STEP_STATE_") for name in workflow_pb2.StepState.keys()[1:]]}
# What can be read of every step, whatever it makes.
_OF_ALL: dict[str, Any] = {"text": _TEXT, "state": _STATES}
_COMPARED_NUMBERS = (workflow_pb2.COMPARISON_GREATER, workflow_pb2.COMPARISON_LESS)
_COMPARED_ALONE = (workflow_pb2.COMPARISON_PRESENT, workflow_pb2.COMPARISON_ABSENT)


@dataclass(frozen=True)
class Node:
    """A step. before: the steps that it comes after, those that it names otherwise included, as given.

    results: the schema of what it makes, free where nothing is known of it.
    """

    step: workflow_pb2.WorkflowStep
    before: tuple[str, ...]
    results: Place

    @property
    def step_id(self) -> str:
        """Its id."""
        return self.step.step_id

    @property
    def kind(self) -> str:
        """ "agent", "approval" or "meld"."""
        return self.step.WhichOneof("kind") or "agent"

    @property
    def title(self) -> str:
        """For people."""
        return self.step.title or self.step.step_id


@dataclass(frozen=True)
class Graph:
    """Steps that can be run, by id, in the order in which they were given."""

    nodes: Mapping[str, Node]
    _after: Mapping[str, tuple[str, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        after: dict[str, list[str]] = {step_id: [] for step_id in self.nodes}
        for node in self.nodes.values():
            for earlier in node.before:
                after[earlier].append(node.step_id)
        object.__setattr__(self, "_after", {key: tuple(value) for key, value in after.items()})

    def after(self, step_id: str) -> tuple[str, ...]:
        """The steps that come directly after one."""
        return self._after[step_id]

    def behind(self, step_id: str) -> frozenset[str]:
        """All steps that come after one, directly or not."""
        found: set[str] = set()
        waiting = list(self._after[step_id])
        while waiting:
            if (following := waiting.pop()) not in found:
                found.add(following)
                waiting += self._after[following]
        return frozenset(found)

    def place(self, source: str) -> Place:
        """What is known of a source. Raises LookupError, in words."""
        root, path = parted(source)
        if root == INPUTS:
            return Place({}, {})
        return result_place(self.nodes[root].results, path)


def parted(source: str) -> tuple[str, tuple[str, ...]]:
    """The step (or "inputs", "message") that a source begins with, and the path behind it."""
    root, *path = source.split(".")
    return root, tuple(path)


def result_place(results: Place, path: Sequence[str]) -> Place:
    """A place in what a step made: its text, its state, else its result."""
    if path[0] in _OF_ALL:
        return Place.of(_OF_ALL[path[0]]).at(path[1:])
    return results.at(path)


def marks(message: str) -> tuple[str, ...]:
    """The sources that a message has marks of, in order."""
    return tuple(_MARK.findall(message))


def with_marks(message: str, values: Mapping[str, str]) -> str:
    """The message with values for its marks."""
    return _MARK.sub(lambda mark: values[mark.group(1)], message)


def validate(steps: Sequence[workflow_pb2.WorkflowStep], registry: Registry) -> Graph:
    """The steps as a graph. Raises InvalidArgumentError (WORKFLOW_INVALID) with the step, the path in it and
    the cause.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise invalid("", "steps", f"there are {len(steps)} steps; a workflow has 1 to {MAX_STEPS}")
    for position, step in enumerate(steps):
        if not _STEP_ID.fullmatch(step.step_id) or step.step_id in (INPUTS, MESSAGE):
            raise invalid(
                step.step_id,
                f"steps[{position}].step_id",
                f"an id has 1 to 64 of a-z, 0-9 and '_', and is not {INPUTS!r} or {MESSAGE!r}",
            )
        if step.step_id in (other.step_id for other in steps[:position]):
            raise invalid(step.step_id, f"steps[{position}].step_id", "another step has this id")
    nodes = {step.step_id: _node(step, registry) for step in steps}
    graph = Graph({step.step_id: _linked(nodes, step.step_id) for step in steps})
    _check_order(graph)
    for node in graph.nodes.values():
        _check_sources(graph, node, registry)
    return graph


def invalid(step_id: str, path: str, cause: str) -> InvalidArgumentError:
    """Why a graph cannot be run. path: in the step, or in the workflow where it is no step's."""
    place = f"step {step_id[:64]!r}, {path}" if step_id else path
    return InvalidArgumentError(
        f"the workflow cannot be run: {place}: {cause[:_MAX_CAUSE]}",
        reason="WORKFLOW_INVALID",
        metadata={"step_id": step_id[:64], "path": path, "cause": cause[:_MAX_CAUSE]},
    )


# -- one step by itself ----------------------------------------------------------------------------------


def _node(step: workflow_pb2.WorkflowStep, registry: Registry) -> Node:
    kind = step.WhichOneof("kind")
    if kind is not None and step.agent_id:
        raise invalid(step.step_id, "agent_id", f"a step has an agent or is an {kind}, not both")
    if kind is None and not step.agent_id:
        raise invalid(step.step_id, "agent_id", "a step has an agent, an approval or a meld")
    if not 0 <= step.attempts <= MAX_ATTEMPTS:
        raise invalid(step.step_id, "attempts", f"a step is tried 1 to {MAX_ATTEMPTS} times")
    _check_enums(step)
    _check_seconds(step, "timeout", step, _MAX_STEP_SECONDS)
    match kind:
        case "approval":
            _check_approval(step)
            return Node(step, (), Place.of({"type": "object", "properties": {"comment": _TEXT}}))
        case "meld":
            _refuse(step, ("inputs", "bindings", "collection_ids", "attempts"), "a meld")
            _check_length(step, "message", step.message, MAX_MESSAGE)
            return Node(step, (), Place.of(json_schema.of(_MELDED.DESCRIPTOR)))
    return _agent_node(step, registry)


def _agent_node(step: workflow_pb2.WorkflowStep, registry: Registry) -> Node:
    _check_length(step, "message", step.message, MAX_MESSAGE)
    if len(step.collection_ids) > MAX_COLLECTIONS:
        raise invalid(step.step_id, "collection_ids", f"at most {MAX_COLLECTIONS} collections")
    if step.agent_id == AUTO:
        return Node(step, (), Place({}, {}))
    if step.agent_id not in registry.ids():
        cause = f"there is no agent {step.agent_id[:100]!r}; there are {', '.join(registry.ids())}"
        raise invalid(step.step_id, "agent_id", cause)
    hosted = registry.get(step.agent_id)
    given = json_format.MessageToDict(step.inputs)
    if fault := json_schema.fault(given, hosted.input_schema):
        path, _, cause = fault.partition(": ")
        raise invalid(step.step_id, f"inputs{path.removeprefix('$')}", cause)
    return Node(step, (), Place.of(hosted.result_schema))


def _check_approval(step: workflow_pb2.WorkflowStep) -> None:
    _refuse(step, ("inputs", "bindings", "collection_ids", "attempts", "message", "timeout"), "an approval")
    if not step.approval.question.strip():
        raise invalid(step.step_id, "approval.question", "it does not say what is asked")
    _check_length(step, "approval.question", step.approval.question, MAX_QUESTION)
    _check_seconds(step, "approval.timeout", step.approval, _MAX_APPROVAL_SECONDS)


def _refuse(step: workflow_pb2.WorkflowStep, names: Sequence[str], kind: str) -> None:
    given = {descriptor.name for descriptor, _ in step.ListFields()}
    for name in names:
        if name in given:
            raise invalid(step.step_id, name, f"{kind} has no {name}")


def _check_length(step: workflow_pb2.WorkflowStep, path: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise invalid(step.step_id, path, f"it has {len(text)} characters; {limit} are allowed")


def _check_seconds(step: workflow_pb2.WorkflowStep, path: str, owner: Any, limit: float) -> None:
    if not owner.HasField("timeout"):
        return
    seconds = owner.timeout.seconds + owner.timeout.nanos / 1e9
    if not 1 <= seconds <= limit:
        raise invalid(step.step_id, path, f"{seconds:g} s; 1 to {limit:g} s are allowed")


def _check_enums(step: workflow_pb2.WorkflowStep) -> None:
    if step.on_failure not in workflow_pb2.FailurePolicy.values():
        raise invalid(step.step_id, "on_failure", f"there is no policy {step.on_failure}")
    if not step.HasField("condition"):
        return
    condition = step.condition
    if condition.comparison not in workflow_pb2.Comparison.values():
        raise invalid(step.step_id, "condition.comparison", f"there is no comparison {condition.comparison}")
    if condition.comparison in _COMPARED_ALONE:
        return
    kind = condition.value.WhichOneof("kind")
    if kind is None:
        raise invalid(step.step_id, "condition.value", "it does not say what is compared with")
    if condition.comparison in _COMPARED_NUMBERS and kind != "number_value":
        raise invalid(step.step_id, "condition.value", "what is compared by size is a number")


# -- how steps hang together -----------------------------------------------------------------------------


def _named(step: workflow_pb2.WorkflowStep) -> Iterator[tuple[str, str]]:
    """The sources that a step names, each with where it does. Raises InvalidArgumentError."""
    for position, binding in enumerate(step.bindings):
        yield f"bindings[{position}].source", binding.source
    if step.HasField("condition"):
        yield "condition.source", step.condition.source
    for mark in (*marks(step.message), *marks(step.approval.question)):
        if mark != MESSAGE:
            yield "approval.question" if step.HasField("approval") else "message", mark


def _linked(nodes: Mapping[str, Node], step_id: str) -> Node:
    """The node with all that it comes after."""
    node = nodes[step_id]
    before: dict[str, None] = {}
    named = [(f"after[{position}]", other) for position, other in enumerate(node.step.after)]
    for path, source in _named(node.step):
        if not _SOURCE.fullmatch(source):
            raise invalid(step_id, path, f"{source[:100]!r} is no source like 'debug.text' or 'inputs.files'")
        named.append((path, parted(source)[0]))
    for path, other in named:
        if other == INPUTS and not path.startswith("after"):
            continue
        if other not in nodes:
            raise invalid(step_id, path, f"there is no step {other[:64]!r}")
        if other == step_id:
            raise invalid(step_id, path, "a step cannot come after itself")
        before[other] = None
    if node.kind == "meld" and not before:
        raise invalid(step_id, "after", "a meld comes after the steps whose answers it melds")
    return Node(node.step, tuple(before), node.results)


def _check_order(graph: Graph) -> None:
    """Raises for a circle, which it names."""
    open_: dict[str, set[str]] = {step_id: set(node.before) for step_id, node in graph.nodes.items()}
    while ready := [step_id for step_id, before in open_.items() if not before]:
        for step_id in ready:
            del open_[step_id]
        for before in open_.values():
            before.difference_update(ready)
    if not open_:
        return
    # Whoever is left has somebody before him who is left: going back ends in a circle.
    path = [next(iter(open_))]
    while path[-1] not in path[:-1]:
        path.append(next(other for other in graph.nodes[path[-1]].before if other in open_))
    circle = path[path.index(path[-1]) :][::-1]
    raise invalid(circle[0], "after", f"the steps go round in a circle: {', '.join(circle)}")


def _check_condition(graph: Graph, node: Node) -> None:
    """Raises when a name is compared with something that can never stand there."""
    if not node.step.HasField("condition") or node.step.condition.comparison in _COMPARED_ALONE:
        return
    names = graph.place(node.step.condition.source).schema.get("enum")
    value = json_format.MessageToDict(node.step.condition.value)
    if names and value not in names:
        cause = f"{value!r} never stands there; it is one of {', '.join(map(str, names))}"
        raise invalid(node.step_id, "condition.value", cause)


def _check_sources(graph: Graph, node: Node, registry: Registry) -> None:
    """Raises when something that the step takes can never stand there, or never fit."""
    step = node.step
    for path, source in _named(step):
        try:
            graph.place(source)
        except LookupError as error:
            raise invalid(step.step_id, path, f"{source}: {error.args[0]}") from error
    _check_condition(graph, node)
    inputs = Place({}, {})
    if node.kind == "agent" and step.agent_id != AUTO:
        inputs = Place.of(registry.get(step.agent_id).input_schema)
    seen: set[str] = set()
    for position, binding in enumerate(step.bindings):
        if not binding.input:
            raise invalid(step.step_id, f"bindings[{position}].input", "it names no input")
        try:
            target = inputs.at((binding.input,))
        except LookupError as error:
            raise invalid(step.step_id, f"bindings[{position}].input", str(error.args[0])) from error
        if binding.input in seen and not (target.free or "array" in target.kinds):
            cause = "another binding fills this input, and it is no list"
            raise invalid(step.step_id, f"bindings[{position}].input", cause)
        seen.add(binding.input)
        if cause := misfit(graph.place(binding.source), target):
            raise invalid(step.step_id, f"bindings[{position}].source", f"{binding.source}: {cause}")
