"""How long steps take that do not need each other.

    python -m bench.workflow [--steps N] [--seconds S]

The agents service in this process, over real channels between small neighbours in memory. Each step is an
agent that uses a tool for S seconds. The ratio is to doing one step after the other, which is run too. That
steps are at work at once is held by tests/contract/agents/test_workflows.py, by events and not by a clock.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from typing import Any

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
from services.agents.roster.agent import Work
from tests.contract.agents import clerk
from tests.contract.agents.conftest import DEFAULT, Client, agents_house
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted


@dataclass(frozen=True)
class Times:
    """In seconds, from the call to the last event."""

    steps: int
    each: float
    at_once: float
    in_turn: float

    @property
    def ratio(self) -> float:
        """What doing them at once takes of what doing them in turn takes."""
        return self.at_once / self.in_turn


async def measure(steps: int, each: float) -> Times:
    """One workflow of steps that are independent, and one of steps in a row."""
    vector = VectorNeighbour()
    vector.put(DEFAULT, "Harbour", "The harbour is fourteen metres deep.")

    async def work(work: Work[Any]) -> results_pb2.ResearchResult:
        async def action() -> dict[str, Any]:
            await asyncio.sleep(each)
            return {}

        await work.tools.use("look", {}, action, lambda _: "looked")
        return results_pb2.ResearchResult()

    async with (
        hosted("vector", vector) as vectors,
        hosted("session", SessionNeighbour()) as sessions,
        agents_house(vectors, sessions, registry=clerk.registry(work)) as house,
    ):
        await _seconds(house, 1, in_turn=False)
        at_once = await _seconds(house, steps, in_turn=False)
        return Times(steps, each, at_once, await _seconds(house, steps, in_turn=True))


async def _seconds(house: Client, count: int, *, in_turn: bool) -> float:
    steps = [
        workflow_pb2.WorkflowStep(
            step_id=f"s{number}", agent_id="research", after=[f"s{number - 1}"] if in_turn and number else []
        )
        for number in range(count)
    ]
    began = time.perf_counter()
    call = house.stub.RunWorkflow(
        agents_pb2.RunWorkflowRequest(message="How deep?", steps=steps), timeout=300
    )
    last = None
    async for said in call:
        last = said
    taken = time.perf_counter() - began
    if last is None or last.event.ended.outcome != agents_pb2.RUN_OUTCOME_SUCCEEDED:
        raise RuntimeError(f"the workflow did not succeed: {last}")
    return taken


def told(times: Times) -> str:
    """The times in a line."""
    return (
        f"{times.steps} steps of {times.each:g} s: at once {times.at_once:.2f} s, "
        f"in turn {times.in_turn:.2f} s, ratio {times.ratio:.2f}"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    print(told(asyncio.run(measure(options.steps, options.seconds))))


if __name__ == "__main__":
    main()
