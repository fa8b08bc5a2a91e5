"""What the sandbox adds to the start of a program: `python -m bench.sandbox`.

The program is the interpreter that does nothing. It is started bare, then in each layer that this machine
allows, one after the other in every round, so that all see the same machine. The ratio is to the bare start
of the same rounds, by medians. `inside` is the time that the sandbox itself counts as the program's.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.sandbox.layers import Layer
from services.sandbox.model import Job
from services.sandbox.sandbox import Sandbox, open_sandbox

_JOB = Job(argv=("python", "-c", ""))


@dataclass
class Way:
    """A way to start the program, with what each start took, and what of it the program took."""

    name: str
    start: Callable[[], Awaitable[float]]
    seconds: list[float]
    inside: list[float]


async def bare() -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    return 0.0


def shut_in(sandbox: Sandbox) -> Callable[[], Awaitable[float]]:
    async def start() -> float:
        outcome = await sandbox.run(_JOB)
        assert outcome.exit_code == 0, outcome
        return outcome.seconds

    return start


async def ways() -> list[Way]:
    """The bare start first, then the layers that hold."""
    found = [Way("bare", bare, [], [])]
    for layer in Layer:
        sandbox = await open_sandbox(layer.value, places=1)
        if sandbox.layer is None:
            print(f"{layer.value:<12} not here: {sandbox.reason}")
        else:
            found.append(Way(layer.value, shut_in(sandbox), [], []))
    return found


async def measure(rounds: int) -> list[Way]:
    found = await ways()
    for way in found:
        await way.start()
    for _ in range(rounds):
        for way in found:
            started = time.perf_counter()
            way.inside.append(await way.start())
            way.seconds.append(time.perf_counter() - started)
    return found


def table(found: list[Way]) -> list[str]:
    """A line for each way: median, middle half, median inside, and the ratio to the first."""
    first = statistics.median(found[0].seconds)
    lines = [f"{'start':<12} {'median':>9} {'middle half':>17} {'inside':>9} {'ratio':>7}"]
    for way in found:
        middle = statistics.median(way.seconds)
        low, _, high = statistics.quantiles(way.seconds, n=4)
        inside = statistics.median(way.inside)
        lines.append(
            f"{way.name:<12} {middle * 1e3:6.1f} ms {low * 1e3:6.1f} to {high * 1e3:5.1f} ms"
            f" {inside * 1e3:6.1f} ms {middle / first:6.2f}x"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=30, help="starts of each")
    arguments = parser.parse_args()
    for line in table(asyncio.run(measure(arguments.rounds))):
        print(line)


if __name__ == "__main__":
    main()
