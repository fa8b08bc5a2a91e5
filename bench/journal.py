"""What the journal costs a run: `python -m bench.journal`.

The agents service in this process, between a session service in a process of its own on a Redis with AOF, a
small vector service and a scripted model. Runs with the journal and without it take turns, so both meet the
same machine. First text is the time from the call to the first piece of the answer. Kept is what Redis needs
for a run. Processor time is that of this process: agents, vector, model and caller.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import redis

from bench.session import running_service
from meldrag.agents.v1 import agents_pb2
from services.agents import runs
from services.agents.journal.entry import Entry
from services.agents.journal.journal import Journal
from tests.contract.agents import neighbours
from tests.contract.agents.conftest import DEFAULT, Client, agents_house
from tests.support.model_server import Answer, ModelServer
from tests.support.redis_server import RedisServer, running_redis

WORDS = ("harbour", "depth", "light", "lamp", "keeper", "stone", "ferry", "crown", "rope", "tide", "mast")
QUESTION = "How deep is the harbour, and who keeps its light?"
ANSWER = "The harbour is fourteen metres deep [1]. Its light is kept by the keeper [2]. " * 4
# A row of an embedding of the real model.
DIMENSION = 384


class Bare(Journal):
    """Writes nothing down, and works nothing out for that."""

    def note(self, kind: str, read: Callable[[], Any]) -> Any:
        """What is read."""
        return {"time": 0.0, "terms": self.given} if kind == "begin" else read()

    def __init__(self, **options: Any) -> None:
        self.given = options["terms"]
        super().__init__(terms=self.given)

    async def timed(
        self, kind: str, request: Any, call: Callable[[], Awaitable[Any]], codec: Any = None
    ) -> tuple[Any, float]:
        """What is called."""
        del kind, request, codec
        return await call(), 0.0

    async def found(self, kind: str, name: bytes, said: bytes) -> Entry | None:
        """Nothing."""
        del kind, name, said
        return None

    def add(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=150, help="of each kind")
    parser.add_argument("--clients", type=int, default=8, help="at once, for the rate")
    arguments = parser.parse_args()
    neighbours.DIMENSION = DIMENSION
    with (
        tempfile.TemporaryDirectory() as directory,
        running_redis(Path(directory), arguments=("--appendfsync", "everysec")) as server,
        running_service(server) as session,
        ModelServer(forever=Answer(ANSWER)) as model,
    ):
        for name, url in (("sentences of the documents", ""), ("a model", model.base_url)):
            asyncio.run(measure(name, url, session, server, count=arguments.runs, clients=arguments.clients))


async def measure(
    name: str, model_url: str, session: str, server: RedisServer, *, count: int, clients: int
) -> None:
    """Prints times, rates and sizes of one kind of answer."""
    vector = neighbours.VectorNeighbour()
    draw = random.Random(1)
    for number in range(10):
        sentences = [" ".join(draw.choices(WORDS, k=14)).capitalize() + "." for _ in range(12)]
        vector.put(DEFAULT, f"Document {number}", " ".join(sentences))
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(neighbours.hosted("vector", vector))
        house = await stack.enter_async_context(agents_house(address, session, model_url))
        await asyncio.sleep(2)
        for journaled in (True, False):
            await several(house, 10, journaled=journaled)
        times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        worked = {True: 0.0, False: 0.0}
        rates: dict[bool, list[float]] = {True: [], False: []}
        for number in range(2 * count):
            journaled = number % 2 == 0
            with journaling(journaled):
                began = time.process_time()
                times[journaled].append((await one(house))[:2])
                # What is written behind the last event is work for this run as well.
                await asyncio.sleep(0.03)
                worked[journaled] += time.process_time() - began
        for number in range(6):
            journaled = number % 2 == 0
            rates[journaled].append(await several(house, 10 * clients, clients, journaled=journaled))
        print(f"answers from {name}")
        for journaled, said in ((True, "with the journal   "), (False, "without the journal")):
            first, whole = zip(*times[journaled], strict=True)
            size = await kept(house, server, journaled=journaled)
            print(
                f"  {said}  first text {spread(first)}   end {spread(whole)}   "
                f"{1000 * worked[journaled] / count:5.1f} ms of processor   "
                f"{statistics.median(rates[journaled]):5.1f} runs/s   {size / 1000:6.1f} kB kept"
            )
        ratios = [
            statistics.median(time[part] for time in times[True])
            / statistics.median(time[part] for time in times[False])
            for part in (0, 1)
        ]
        print(f"  ratio of the medians: first text {ratios[0]:.3f}, end {ratios[1]:.3f}")


def journaling(journaled: bool) -> AbstractContextManager[object]:
    """Runs that begin in the block have a journal, or none."""
    return mock.patch.object(runs, "Journal", Journal if journaled else Bare)


async def one(house: Client) -> tuple[float, float, str]:
    """Seconds to the first text and to the end of a run, and its id."""
    began = time.perf_counter()
    first, run_id = 0.0, ""
    request = agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION)
    async for event in house.stub.RunAgent(request, timeout=60):
        run_id = event.run_id
        if event.HasField("text") and not first:
            first = time.perf_counter() - began
    return first, time.perf_counter() - began, run_id


async def several(house: Client, count: int, clients: int = 1, *, journaled: bool) -> float:
    """Runs a second, by `clients` at once."""
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            await one(house)

    began = time.perf_counter()
    with journaling(journaled):
        await asyncio.gather(*(client() for _ in range(clients)))
    return count / (time.perf_counter() - began)


async def kept(house: Client, server: RedisServer, *, journaled: bool) -> float:
    """Bytes that Redis needs for a run; the median of five."""
    sizes = []
    for _ in range(5):
        with journaling(journaled):
            _, _, run_id = await one(house)
        await asyncio.sleep(0.3)
        with redis.Redis(port=server.port) as client:
            (key,) = [key for key in client.scan_iter("*", count=10_000) if run_id.encode() in key]
            sizes.append(float(client.memory_usage(key, samples=0)))
    return statistics.median(sizes)


def spread(seconds: Sequence[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    return f"{1000 * statistics.median(ordered):5.1f} / {1000 * ordered[int(0.95 * len(ordered))]:5.1f} ms"


if __name__ == "__main__":
    main()
