"""Lets a model decide where the examples leave it open."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from meldrag.agents.v1 import results_pb2
from services.agents.ports import Ask
from services.agents.routing.route import Alternative, Route

# Below this about every third first choice was wrong in cross-validation (ADR 79).
UNSURE = 0.6

_MAX_REASON = 300


async def adjudicate(
    ask: Ask, texts: Sequence[str], routes: Sequence[Route], purposes: Mapping[str, str]
) -> list[Route]:
    """The routes of the texts; those that are not sure as a model decides, asked once for all of them.

    purposes: what each agent is for, by id; no other agent is taken. Without a model, and where it gave no
    answer that fits, the first choices stay. A confidence goes on telling how sure the examples are.
    """
    open_ones = [index for index, route in enumerate(routes) if route.confidence < UNSURE]
    if not open_ones:
        return list(routes)

    def fits(answer: results_pb2.TriageResult) -> None:
        if len(answer.parts) != len(open_ones) or len(answer.reasons) != len(open_ones):
            raise ValueError(
                f"parts and reasons: {len(open_ones)} each, one for each request, in their order"
            )
        if strange := [part.agent_id for part in answer.parts if part.agent_id not in purposes]:
            raise ValueError(f"there is no agent {strange[0][:100]!r}; there are {', '.join(purposes)}")

    answer = await ask(
        results_pb2.TriageResult,
        _task(purposes, [routes[index] for index in open_ones]),
        data={f"request {number}": texts[index] for number, index in enumerate(open_ones, 1)},
        fields=("parts", "reasons"),
        check=fits,
    )
    decided = list(routes)
    if answer is not None:
        for index, part, reason in zip(open_ones, answer.parts, answer.reasons, strict=True):
            decided[index] = _decided(routes[index], part.agent_id, reason)
    return decided


def _task(purposes: Mapping[str, str], routes: Sequence[Route]) -> str:
    agents = "\n".join(f"- {agent_id}: {purpose}" for agent_id, purpose in purposes.items())
    seem = "\n".join(
        f"- request {number}: {route.agent_id}, else {', '.join(one.agent_id for one in route.alternatives)}"
        for number, route in enumerate(routes, 1)
    )
    return (
        f"Which agent should take each request? There are these agents:\n{agents}\n\n"
        f"By comparison with known requests it may be:\n{seem}\n\n"
        "Give one part and one reason (a short sentence) for each request, in their order."
    )


def _decided(route: Route, agent_id: str, reason: str) -> Route:
    told = f"A model decided for {agent_id}: {' '.join(reason.split())[:_MAX_REASON]}"
    reasons = (told, *route.reasons)
    if agent_id == route.agent_id:
        return dataclasses.replace(route, reasons=reasons)
    confidence = next((one.confidence for one in route.alternatives if one.agent_id == agent_id), 0.0)
    others = [one for one in route.alternatives if one.agent_id != agent_id]
    return Route(
        agent_id,
        confidence,
        reasons,
        (Alternative(route.agent_id, route.confidence), *others)[: len(route.alternatives)],
    )
