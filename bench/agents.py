"""Fault localisation and repair on programs of bench/corpus with faults put into them; no model takes part.

    python -m bench.agents [--faults N] [--split train|test|all] [--each]

For each program N faults of different kinds that its tests notice. What is proven is checked once more by
pytest itself, in another sandbox: a claim that does not hold there is a false one.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench.corpus.faults import SPLITS, Faulty, faults, programs
from meldrag.agents.v1 import results_pb2
from services.agents.code.debugging import diagnose
from services.agents.code.execution import execute
from services.agents.code.localisation import locate
from services.agents.code.project import Project
from services.agents.code.repairing import repair
from services.sandbox.model import Job, Limits
from services.sandbox.sandbox import Sandbox, open_sandbox

SEED = 1
TOP = 5


class Tools:
    """Does what it is asked, and tells nobody."""

    async def use(
        self,
        _tool: str,
        _arguments: Any,
        action: Callable[[], Awaitable[Any]],
        _summary: Callable[[Any], str],
    ) -> Any:
        """The action's result."""
        return await action()


async def no_model(*_: object, **__: object) -> None:
    """As where no model is configured."""


@dataclass
class Score:
    """What was counted in a split."""

    faults: int = 0
    by_spectrum: int = 0
    located: int = 0
    repaired: int = 0
    false_claims: int = 0
    debugging: list[float] = field(default_factory=list)
    repairing: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)


async def passes(sandbox: Sandbox, name: str, text: str, tests: str, seconds: float) -> bool:
    """Whether pytest itself says that all tests pass, within so many seconds of processor time."""
    job = Job(
        argv=("python", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"test_{name}.py"),
        files={f"{name}.py": text.encode(), f"test_{name}.py": tests.encode()},
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        limits=Limits(seconds=20 * seconds, cpu_seconds=seconds),
    )
    return (await sandbox.run(job)).exit_code == 0


async def measure(sandbox: Sandbox, fault: Faulty, score: Score, each: bool) -> None:
    """One fault: is its line among the first, is it mended."""
    path = f"{fault.name}.py"
    project = Project({path: fault.text}, {f"test_{fault.name}.py": fault.tests})
    score.faults += 1
    score.kinds[fault.kind] += 1
    alone = locate(project, await execute(sandbox, project, test_seconds=1.5))
    score.by_spectrum += bool({suspect.line for suspect in alone[:TOP]} & fault.lines)
    started = time.perf_counter()
    found = await diagnose(project, "Why does it fail?", sandbox, Tools(), no_model)
    score.debugging.append(time.perf_counter() - started)
    located = bool({suspect.line for suspect in found.suspects[:TOP]} & fault.lines)
    score.located += located
    started = time.perf_counter()
    mended = await repair(project, "Mend it.", sandbox, Tools(), no_model)
    score.repairing.append(time.perf_counter() - started)
    proven = mended.verdict == results_pb2.VERDICT_VERIFIED
    score.repaired += proven
    score.mended[fault.kind] += proven
    if proven and not await passes(sandbox, fault.name, mended.changes[path], fault.tests, 30):
        score.false_claims += 1
        print(f"    false claim: {fault.name}, {fault.kind}", flush=True)
    if each:
        print(
            f"    {fault.name}, {fault.kind}, lines {sorted(fault.lines)}: "
            f"{'located' if located else 'not located'} in {score.debugging[-1]:.0f} s, "
            f"{mended.reason} {mended.explanation} {mended.trials.tried} tried, {score.repairing[-1]:.0f} s",
            flush=True,
        )


def report(split: str, score: Score) -> None:
    """Prints what was counted."""
    count = max(1, score.faults)
    print(f"{split}: {score.faults} faults")
    print(
        f"    faulty line among the first {TOP}: {score.located / count:.1%} "
        f"({score.by_spectrum / count:.1%} without trying changes)"
    )
    print(
        f"    repair verified by the tests: {score.repaired / count:.1%}, false claims: {score.false_claims}"
    )
    for name, times in (("debugging", score.debugging), ("repairing", score.repairing)):
        if len(times) > 1:
            p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
            print(
                f"    {name}: p50 {statistics.median(times):.1f} s, p95 {p95:.1f} s, most {max(times):.1f} s"
            )
    shares = [f"{kind} {score.mended[kind]}/{number}" for kind, number in sorted(score.kinds.items())]
    print(f"    repaired by kind: {', '.join(shares)}", flush=True)


async def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--faults", type=int, default=4)
    arguments.add_argument("--split", choices=[*SPLITS, "all"], default="all")
    arguments.add_argument("--every", type=int, default=1, help="only every n-th program")
    arguments.add_argument("--each", action="store_true", help="tell of each fault")
    asked = arguments.parse_args()
    sandbox = await open_sandbox()
    if sandbox.layer is None:
        print(f"not measured: {sandbox.reason}")
        return
    for split in SPLITS if asked.split == "all" else [asked.split]:
        score = Score()
        for program in programs(split)[:: asked.every]:
            taken = 0
            for fault in faults(program, SEED):
                if taken == asked.faults:
                    break
                if not await passes(sandbox, fault.name, fault.text, fault.tests, 3):
                    taken += 1
                    await measure(sandbox, fault, score, asked.each)
        report(split, score)


if __name__ == "__main__":
    asyncio.run(main())
