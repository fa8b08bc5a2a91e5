"""Workflows as pictures."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.seeing import diagrams
from services.agents.workflow.graph import Graph, Node, invalid, parted
from services.chassis.errors import InvalidArgumentError

_MAX_TITLE = 60
_MAX_LABEL = 100

_WORDS = {
    workflow_pb2.COMPARISON_NOT_EQUAL: "is not",
    workflow_pb2.COMPARISON_GREATER: "is more than",
    workflow_pb2.COMPARISON_LESS: "is less than",
    workflow_pb2.COMPARISON_CONTAINS: "has",
    workflow_pb2.COMPARISON_PRESENT: "is there",
    workflow_pb2.COMPARISON_ABSENT: "is not there",
}


def draw(title: str, graph: Graph) -> str:
    """An SVG document: a box for each step, an arrow from each that it comes directly after, and what it
    depends on in words. Raises InvalidArgumentError (WORKFLOW_INVALID) when it is too much for a picture.
    """
    inputs = results_pb2.DiagramInputs(title=title or "Workflow")
    for node in graph.nodes.values():
        inputs.nodes.add(id=node.step_id, label=_label(node))
        condition = node.step.condition if node.step.HasField("condition") else None
        asked = parted(condition.source)[0] if condition else ""
        for earlier in node.before:
            said = _condition(node.step.condition) if earlier == asked else ""
            # What is known from the steps between is not drawn again.
            if said or not any(other in graph.behind(earlier) for other in node.before if other != earlier):
                inputs.edges.add(source=earlier, target=node.step_id, label=said)
    try:
        return diagrams.draw(inputs).svg
    except InvalidArgumentError as error:
        raise invalid("", "steps", error.metadata.get("cause", error.message)) from error


def _label(node: Node) -> str:
    title = _cut(node.step.title, _MAX_TITLE)
    match node.kind:
        case "approval":
            return f"{title or 'Approval'} (somebody decides)"
        case "meld":
            return f"{title or 'Meld'} (melds the answers)"
    return f"{title} ({node.step.agent_id})" if title else node.step.agent_id


def _condition(condition: workflow_pb2.StepCondition) -> str:
    path = condition.source.partition(".")[2]
    words = _WORDS.get(condition.comparison, "is")
    value = getattr(condition.value, condition.value.WhichOneof("kind") or "string_value")
    return _cut(f"if {path} {words} {'' if value == '' else _plain(value)}".rstrip(), _MAX_LABEL)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
