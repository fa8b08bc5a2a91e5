"""Quality of generated tests, without a model: `python -m bench.testing [--split test] [NAME ...]`.

For each function or class of bench/testing_corpus: the share of lines and branches that its generated tests
run, the share of planted faults that they find, how many of them were not the same in all repetitions,
and the seconds it took. Faults that cannot be seen from outside count as not found. The engine was tuned
on `train` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from services.agents.code.project import Project
from services.agents.code.testing.generation import Effort, Generation
from services.agents.code.testing.model import Generated
from services.agents.ports import Sandboxed
from services.sandbox.sandbox import open_sandbox

CORPUS = Path(__file__).parent / "testing_corpus"
REPETITIONS = 20


def programs(split: str) -> dict[str, str]:
    """The files of one half of the corpus, by name."""
    return {path.stem: path.read_text("utf-8") for path in sorted((CORPUS / split).glob("*.py"))}


@dataclass(frozen=True)
class Measured:
    """What came out for one file of the corpus. flaky: cases that passed in some repetitions only."""

    name: str
    generated: Generated
    flaky: int
    seconds: float

    @property
    def line(self) -> float:
        """Share of lines."""
        return self.generated.after.line if self.generated.after else 0.0

    @property
    def branch(self) -> float:
        """Share of branches."""
        return self.generated.after.branch if self.generated.after else 0.0


async def measure(sandbox: Sandboxed, name: str, code: str, effort: Effort, repetitions: int) -> Measured:
    """Generates tests for one file, then runs them so many times more."""
    started = time.monotonic()
    project = Project({f"{name}.py": code})
    generation = Generation(sandbox, project, effort)
    generated = await generation.score(await generation.generate())
    seconds = time.monotonic() - started
    flaky = 0
    if generated.files and repetitions:
        again = Generation(sandbox, project, replace(effort, repetitions=repetitions))
        flaky = len(await again.unstable(generated.files))
    return Measured(name, generated, flaky, seconds)


def table(measured: Sequence[Measured], *, survivors: bool = False) -> str:
    """The numbers as lines."""
    lines = [f"{'':16}  line  branch  mutants  score  tests  dropped  flaky  seconds"]
    for one in measured:
        made = one.generated
        score = made.mutation_score()
        lines.append(
            f"{one.name:16} {one.line:5.0%} {one.branch:7.0%} {made.mutants:8} "
            f"{'-' if score is None else f'{score:.0%}':>6} {made.passed:6} {made.dropped:8} {one.flaky:6} "
            f"{one.seconds:8.1f}"
        )
        if made.reason or made.notes:
            lines.append(f"    {made.reason} {' '.join(made.notes)}"[:300])
        if survivors:
            lines += [f"    {s.line}: {s.description}" for s in made.survivors]
    if measured:
        scores = [one.generated.mutation_score() or 0.0 for one in measured]
        planted = sum(one.generated.mutants - one.generated.left for one in measured)
        killed = sum(one.generated.killed for one in measured)
        lines.append(
            f"mean of {len(measured)}: line {statistics.mean(one.line for one in measured):.1%}, "
            f"branch {statistics.mean(one.branch for one in measured):.1%}, "
            f"mutation score {statistics.mean(scores):.1%} (worst {min(scores):.1%}; "
            f"{killed} of {planted} mutants), flaky {sum(one.flaky for one in measured)}, "
            f"seconds {statistics.mean(one.seconds for one in measured):.1f}"
        )
    return "\n".join(lines)


async def run(
    split: str = "test",
    names: Sequence[str] = (),
    effort: Effort | None = None,
    repetitions: int = REPETITIONS,
    *,
    survivors: bool = False,
) -> list[Measured]:
    """Measures one half of the corpus and prints its numbers."""
    sandbox = await open_sandbox()
    corpus = programs(split)
    measured = []
    for name in names or corpus:
        measured.append(await measure(sandbox, name, corpus[name], effort or Effort(), repetitions))
        print(table(measured[-1:], survivors=survivors).splitlines()[1], flush=True)
    print(table(measured, survivors=survivors))
    return measured


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--split", choices=("train", "test"), default="test")
    arguments.add_argument(
        "--seconds", type=float, default=Effort().seconds, help="of the search for one file"
    )
    arguments.add_argument("--repetitions", type=int, default=REPETITIONS)
    arguments.add_argument("--survivors", action="store_true", help="list the faults that no test finds")
    arguments.add_argument("names", nargs="*")
    asked = arguments.parse_args()
    effort = Effort(seconds=asked.seconds)
    asyncio.run(run(asked.split, asked.names, effort, asked.repetitions, survivors=asked.survivors))


if __name__ == "__main__":
    main()
