"""Routing measured: accuracy on requests that nothing was tuned on, confidence, splitting, priority, time.

    python -m bench.routing [--address HOST:PORT] [--misses]

The address is that of a running vector service, which embeds; without one, words decide alone. Accuracy is
shown beside the substring rule of the system that this one replaces. The requests stand in
tests/unit/agents/routing: unseen.json (fifteen an agent), held_out.json, second_author.json, compound.json,
priorities.json and documents.json (questions to documents, and what others do).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from services.agents.adapters import vector_client
from services.agents.ports import Vectors
from services.agents.roster.registry import Registry
from services.agents.routing import documents, parts, triage
from services.agents.routing.route import Route
from services.chassis.channel import open_aio_channel
from services.chassis.errors import ServiceError, UnavailableError

REQUESTS = Path(__file__).parent.parent / "tests/unit/agents/routing"
SETS = ("unseen", "held_out", "second_author")

# Upper ends of the classes of confidence.
CLASSES = (0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
# A part begins where it should when it is not further away than this, in characters: joining words.
NEAR = 14

# In the order in which the replaced system looked for them.
SUBSTRINGS = {
    "code": "code_analyzer",
    "debug": "code_debugger",
    "performance": "performance",
    "research": "research",
    "image": "image",
    "audio": "audio",
    "test": "test_generator",
    "coach": "coaching",
    "complex": "ceo",
}

Router = Callable[[str], Awaitable[Route]]
Labelled = dict[str, list[str]]


def load(name: str) -> Any:
    """One of the labelled sets."""
    return json.loads((REQUESTS / f"{name}.json").read_text("utf-8"))


async def by_substring(request: str) -> Route:
    """The replaced system's rule."""
    lowered = request.lower()
    chosen = next((agent for word, agent in SUBSTRINGS.items() if word in lowered), "executor")
    return Route(chosen, 1.0, (), ())


async def no_vectors(texts: Sequence[str]) -> Vectors:
    """Stands for a vector service that is down."""
    raise UnavailableError(f"{len(texts)} texts are not embedded", reason="RETRIEVAL_UNAVAILABLE")


async def accuracy(name: str, route: Router, labelled: Labelled, misses: bool) -> None:
    """Prints the share that went right, the time of one request, and where each agent's requests went."""
    times, routed = [], []
    for agent_id, requests in labelled.items():
        for request in requests:
            started = time.perf_counter()
            chosen = await route(request)
            times.append(time.perf_counter() - started)
            routed.append((agent_id, chosen))
            if misses and chosen.agent_id != agent_id:
                print(f"    {agent_id} went to {chosen.agent_id} ({chosen.confidence:.2f}): {request}")
    right = sum(chosen.agent_id == agent_id for agent_id, chosen in routed)
    p50 = statistics.median(times) * 1000
    print(f"{name}: {right}/{len(routed)} = {right / len(routed):.1%}, p50 {p50:.1f} ms")
    for agent_id in labelled:
        went = Counter(chosen.agent_id for wanted, chosen in routed if wanted == agent_id)
        others = ", ".join(f"{count} to {other}" for other, count in went.most_common() if other != agent_id)
        print(f"    {agent_id}: {went[agent_id]} of {went.total()}{' - ' if others else ''}{others}")


async def with_documents(name: str, routes: triage.Triage) -> None:
    """Prints what "auto" chooses right where there are documents to ask."""
    registry = Registry()

    async def route(request: str) -> Route:
        made = await routes.route(request)
        return documents.settled(made, request, registry.get(made.agent_id).definition.material)

    asked = load("documents")
    questions = [(await route(text)).agent_id == "research" for text in asked["research"]]
    others = [(await route(text)).agent_id == agent_id for agent_id, text in asked["others"]]
    print(f"{name}, with documents: {sum(questions)}/{len(questions)} questions to them,", end=" ")
    print(f"{sum(others)}/{len(others)} other requests")
    for one in SETS:
        right = [
            (await route(text)).agent_id == agent_id
            for agent_id, texts in load(one).items()
            for text in texts
        ]
        print(f"    {one}: {sum(right)}/{len(right)} = {sum(right) / len(right):.1%}")


async def reliability(route: Router, labelled: Labelled) -> None:
    """Prints how often a confidence is right, beside what it says."""
    routed = [
        (chosen.confidence, chosen.agent_id == agent_id)
        for agent_id, requests in labelled.items()
        for chosen in [await route(request) for request in requests]
    ]
    print("confidence: requests, mean confidence, share right")
    low = 0.0
    for high in CLASSES:
        found = [one for one in routed if low <= one[0] < high or one[0] == high == 1.0]
        if found:
            said, right = (sum(column) / len(found) for column in zip(*found, strict=True))
            print(f"    {low:.2f} to {high:.2f}: {len(found)}, {said:.2f}, {right:.2f}")
        low = high


async def splitting(route: Router) -> None:
    """Prints precision and recall of where parts begin, and how many requests are taken apart rightly."""
    hits = found = wanted = complexity = agents = 0
    cases = load("compound")
    for case in cases:
        request, starts = case["request"], case["starts"]
        routed = [(piece, await route(piece.text)) for piece in parts.pieces(request)]
        made = parts.joined(request, routed, await route(request))
        begins = [part.start for part, _ in made][1:]
        hits += sum(any(abs(begin - start) <= NEAR for begin in begins) for start in starts[1:])
        found, wanted = found + len(begins), wanted + len(starts) - 1
        complexity += (len(made) > 1) == (len(starts) > 1)
        agents += [chosen.agent_id for _, chosen in made] == case["agents"]
    print(
        f"splitting: precision {hits / max(1, found):.2f}, recall {hits / wanted:.2f} of {wanted} beginnings;"
        f" complexity right {complexity}/{len(cases)}, all parts and agents right {agents}/{len(cases)}"
    )


def priorities() -> None:
    """Prints how many priorities are read rightly."""
    labelled: Labelled = load("priorities")
    cases = [(level, text) for level, texts in labelled.items() for text in texts]
    cases += [(case["priority"], case["request"]) for case in load("compound")]
    right = sum(parts.priority(text) == level for level, text in cases)
    print(f"priority: {right}/{len(cases)}")


async def measure(name: str, routes: triage.Triage, misses: bool) -> None:
    """Prints all that one triage is measured by."""
    for one in SETS:
        await accuracy(f"{name}, {one}", routes.route, load(one), misses)
    await with_documents(name, routes)
    await reliability(routes.route, load("unseen"))
    await splitting(routes.route)


async def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--address", default="127.0.0.1:50052")
    arguments.add_argument("--misses", action="store_true")
    asked = arguments.parse_args()
    for one in SETS:
        await accuracy(f"substring rule, {one}", by_substring, load(one), False)
    priorities()
    await measure(
        "words alone", triage.Triage(triage.packaged(), no_vectors, triage.packaged_with_questions()), False
    )
    async with open_aio_channel(asked.address, vector_client.SERVICE) as channel:
        routes = triage.Triage(
            triage.packaged(), vector_client.VectorClient(channel).vectors, triage.packaged_with_questions()
        )
        try:
            await routes.learn()
        except ServiceError as error:
            print(f"words and meaning: not measured, no vector service at {asked.address}: {error.message}")
            return
        await measure("words and meaning", routes, asked.misses)


if __name__ == "__main__":
    asyncio.run(main())
