"""What steps hand on to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.ports import Json, JsonObject
from services.agents.workflow import graph
from services.agents.workflow.graph import Graph, Node

# Of a value in a message so many characters are shown.
_MAX_SHOWN = 20_000

# Nothing stands there, which is not the same as null.
MISSING: Json = object()

_PREFIX = "STEP_STATE_"


class Values:
    """The workflow's message and inputs, and what its steps made, step by step.

    A step that has not ended has nothing yet; one that did not run has its state alone.
    """

    def __init__(self, graph_: Graph, message: str, inputs: Mapping[str, Any]) -> None:
        self._graph = graph_
        self._message = message
        self._inputs = dict(inputs)
        self._made: dict[str, JsonObject] = {}

    def put(
        self, step_id: str, state: workflow_pb2.StepState, text: str = "", result: JsonObject | None = None
    ) -> None:
        """How a step ended, and what it made. result: the typed one; None where it has none."""
        self._made[step_id] = {
            "state": workflow_pb2.StepState.Name(state).removeprefix(_PREFIX),
            "result": result,
        } | ({"text": text} if text else {})

    def read(self, source: str) -> Json:
        """The value of a source; MISSING where nothing stands."""
        root, path = graph.parted(source)
        if root == graph.INPUTS:
            return _walk(self._inputs, path)
        made = self._made.get(root, {})
        if path[0] in made and path[0] != "result":
            return made[path[0]]
        if made.get("result") is None:
            return MISSING
        found = _walk(made["result"], path)
        if found is not MISSING:
            return found
        # Protobuf's JSON leaves out what has its default.
        if len(path) > 1 and _walk(made["result"], path[:-1]) is MISSING:
            return MISSING
        default = self._graph.place(source).default if not path[-1].isdecimal() else None
        return MISSING if default is None else default

    def message_of(self, node: Node) -> str:
        """What is asked of a step's agent."""
        return self.filled(node.step.message) if node.step.message else self._message

    def filled(self, text: str) -> str:
        """The text with values for its marks. Where nothing stands the mark becomes nothing."""
        values = {
            mark: self._message if mark == graph.MESSAGE else _shown(self.read(mark))
            for mark in graph.marks(text)
        }
        return graph.with_marks(text, values)

    def inputs_of(self, node: Node) -> JsonObject:
        """The inputs of a step's agent. Raises LookupError, in words, for a binding at whose source nothing
        stands.
        """
        inputs: JsonObject = json_format.MessageToDict(node.step.inputs)
        for binding in node.step.bindings:
            value = self.read(binding.source)
            if value is not MISSING:
                inputs[binding.input] = value
            elif not binding.optional:
                raise LookupError(f"nothing stands at {binding.source}, which {binding.input!r} needs")
        return inputs

    def holds(self, condition: workflow_pb2.StepCondition) -> bool:
        """Whether a condition holds."""
        found = self.read(condition.source)
        wanted = json_format.MessageToDict(condition.value)
        match condition.comparison:
            case workflow_pb2.COMPARISON_PRESENT:
                return not _empty(found)
            case workflow_pb2.COMPARISON_ABSENT:
                return _empty(found)
            case workflow_pb2.COMPARISON_NOT_EQUAL:
                return not _same(found, wanted)
            case workflow_pb2.COMPARISON_CONTAINS:
                return _contains(found, wanted)
            case workflow_pb2.COMPARISON_GREATER:
                number = _number(found)
                return number is not None and number > condition.value.number_value
            case workflow_pb2.COMPARISON_LESS:
                number = _number(found)
                return number is not None and number < condition.value.number_value
            case _:
                return _same(found, wanted)


def told(condition: workflow_pb2.StepCondition) -> str:
    """A condition in words."""
    words = {
        workflow_pb2.COMPARISON_PRESENT: "is there",
        workflow_pb2.COMPARISON_ABSENT: "is empty",
        workflow_pb2.COMPARISON_NOT_EQUAL: "is not",
        workflow_pb2.COMPARISON_CONTAINS: "contains",
        workflow_pb2.COMPARISON_GREATER: "is greater than",
        workflow_pb2.COMPARISON_LESS: "is less than",
    }.get(condition.comparison, "is")
    if condition.comparison in (workflow_pb2.COMPARISON_PRESENT, workflow_pb2.COMPARISON_ABSENT):
        return f"{condition.source} {words}"
    return f"{condition.source} {words} {json.dumps(json_format.MessageToDict(condition.value))[:100]}"


def _walk(value: Json, path: tuple[str, ...]) -> Json:
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _shown(value: Json) -> str:
    if value is MISSING:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def _empty(value: Json) -> bool:
    return value is MISSING or value is None or value in ("", [], {})


def _same(found: Json, wanted: Json) -> bool:
    if found is MISSING:
        return False
    if isinstance(wanted, float):
        return _number(found) == wanted
    return bool(found == wanted)


def _contains(found: Json, wanted: Json) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    return isinstance(found, list) and any(_same(item, wanted) for item in found)


def _number(value: Json) -> float | None:
    """A number; long ones are texts in protobuf's JSON."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if value.removeprefix("-").isdecimal() else None
    return float(value) if isinstance(value, int | float) else None
