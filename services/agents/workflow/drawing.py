"""Workflows as pictures."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.seeing import diagrams
from services.agents.workflow.graph import Graph, Node, invalid, parted
from services.agents.workflow.values import told
from services.chassis.errors import InvalidArgumentError

_MAX_TITLE = 60
_MAX_LABEL = 100


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
            said = _cut(f"if {told(condition)}", _MAX_LABEL) if condition and earlier == asked else ""
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


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
