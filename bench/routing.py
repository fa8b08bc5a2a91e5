"""Accuracy of routing on held-out requests, beside the substring rule of the system that this one replaces.

    python -m bench.routing [--address HOST:PORT] [--misses]

The address is that of a running vector service, which embeds; without one, words decide alone. The held-out
requests stand in tests/unit/agents/routing/held_out.json; nothing was tuned on them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from services.agents.adapters import vector_client
from services.agents.ports import Vectors
from services.agents.routing import triage
from services.chassis.channel import open_aio_channel
from services.chassis.errors import ServiceError, UnavailableError

HELD_OUT = Path(__file__).parent.parent / "tests/unit/agents/routing/held_out.json"

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

Router = Callable[[str], Awaitable[str]]


async def by_substring(request: str) -> str:
    """The replaced system's rule."""
    lowered = request.lower()
    return next((agent for word, agent in SUBSTRINGS.items() if word in lowered), "executor")


async def no_vectors(texts: Sequence[str]) -> Vectors:
    """Stands for a vector service that is down."""
    raise UnavailableError(f"{len(texts)} texts are not embedded", reason="RETRIEVAL_UNAVAILABLE")


def router(routes: triage.Triage) -> Router:
    """The agent that triage chooses."""

    async def route(request: str) -> str:
        return (await routes.route(request)).agent_id

    return route


async def report(name: str, route: Router, held_out: dict[str, list[str]], misses: bool) -> None:
    """Prints the share that went right, per agent too, and the time of one request."""
    right, times, shares = 0, [], []
    for agent_id, requests in held_out.items():
        hits = 0
        for request in requests:
            started = time.perf_counter()
            chosen = await route(request)
            times.append(time.perf_counter() - started)
            hits += chosen == agent_id
            if misses and chosen != agent_id:
                print(f"    {agent_id} went to {chosen}: {request}")
        right += hits
        shares.append(f"{agent_id} {hits}/{len(requests)}")
    total = sum(map(len, held_out.values()))
    print(f"{name}: {right}/{total} = {right / total:.1%}, p50 {statistics.median(times) * 1000:.1f} ms")
    print(f"    {', '.join(shares)}")


async def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--address", default="127.0.0.1:50052")
    arguments.add_argument("--misses", action="store_true")
    asked = arguments.parse_args()
    held_out: dict[str, list[str]] = json.loads(HELD_OUT.read_text("utf-8"))
    examples, cues = triage.load_examples(), triage.load_cues()
    await report("substring rule", by_substring, held_out, False)
    await report("words alone", router(triage.Triage(examples, cues, no_vectors)), held_out, False)
    async with open_aio_channel(asked.address, vector_client.SERVICE) as channel:
        routes = triage.Triage(examples, cues, vector_client.VectorClient(channel).embed)
        try:
            await routes.learn()
        except ServiceError as error:
            print(f"words and meaning: not measured, no vector service at {asked.address}: {error.message}")
            return
        await report("words and meaning", router(routes), held_out, asked.misses)


if __name__ == "__main__":
    asyncio.run(main())
