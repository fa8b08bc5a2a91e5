"""When a request that comes with documents at hand goes to them (ADR 135)."""

from __future__ import annotations

from collections.abc import Set

from services.agents.routing.route import Alternative, Route
from services.agents.routing.signs import read

RESEARCH = "research"
# Rather than not.
_LIKELY = 0.5


def settled(route: Route, request: str, material: Set[str]) -> Route:
    """The route where documents are at hand: research, when the request asks what they say and brings nothing
    that the chosen agent works on. material: the signs of that, see AgentDefinition.material."""
    if route.agent_id == RESEARCH or route.asks < _LIKELY or not material.isdisjoint(read(request).signs):
        return route
    others = (Alternative(route.agent_id, route.confidence), *route.alternatives)
    return Route(
        RESEARCH,
        route.asks,
        (
            "It asks what the documents say: it brings nothing that "
            f"{route.agent_id} works on, and resembles questions to documents.",
        ),
        tuple(other for other in others if other.agent_id != RESEARCH)[: max(1, len(route.alternatives))],
        route.asks,
    )
