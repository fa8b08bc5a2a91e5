"""Tries patches in the sandbox, many in one run, and says which let the failing tests pass."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.agents.code import inside, programs
from services.agents.code.execution import Execution, Failure, TestEnd, run_request, way
from services.agents.code.localisation import Line, locate
from services.agents.code.oracle import fixed_lines
from services.agents.code.patching.candidates import candidates
from services.agents.code.patching.patch import Edit, Patch
from services.agents.code.project import Project
from services.agents.ports import Sandboxed
from services.sandbox.model import Limits

MAX_CANDIDATES = 12_000
_MAX_PAIRS = 3_000
_PARTIAL = 60
# Of the time, for changes of one place.
_SINGLE_SHARE = 0.7
# Seconds that a test may use with a change: those that it used before, many times over, within these bounds.
_LEAST, _MOST, _UNKNOWN = 0.05, 1.0, 0.08
_WORKERS = 2
_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Trial:
    """A patch and how far it went: failing tests that pass with it, of those that were run.

    passes: all tests that ran before pass with it.
    """

    patch: Patch
    fixed: int
    passes: bool


@dataclass(frozen=True)
class Trials:
    """What came of the search. lines: by line the best share of failing tests that a change of it mended."""

    tried: int = 0
    plausible: tuple[Patch, ...] = ()
    partial: tuple[Trial, ...] = ()
    lines: Mapping[Line, float] | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "tried": self.tried,
            "plausible": [patch_json(patch) for patch in self.plausible],
            "partial": [[patch_json(trial.patch), trial.fixed] for trial in self.partial],
            "lines": [[path, line, share] for (path, line), share in (self.lines or {}).items()],
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trials:
        """What `to_json` wrote down."""
        return cls(
            value["tried"],
            tuple(patch_of(patch) for patch in value["plausible"]),
            tuple(Trial(patch_of(patch), fixed, False) for patch, fixed in value["partial"]),
            {(path, line): share for path, line, share in value["lines"]},
            value["seconds"],
        )


def patch_json(patch: Patch) -> dict[str, Any]:
    """A patch as plain JSON."""
    path, edits = patch.wire()
    return {"path": path, "edits": edits, "line": patch.line, "operator": patch.operator, "cost": patch.cost}


def patch_of(value: Mapping[str, Any]) -> Patch:
    """The patch that `patch_json` wrote down."""
    edits = tuple(Edit(*edit) for edit in value["edits"])
    return Patch(value["path"], edits, value["line"], value["operator"], value["cost"])


async def search(
    sandbox: Sandboxed,
    project: Project,
    execution: Execution,
    *,
    seconds: float,
    enough: int = 8,
    extra_seconds: float = 3.0,
) -> Trials:
    """Tries first the changes of one place, then pairs of those that went some of the way.

    seconds: for all. enough: patches with which all tests pass that end the search; extra_seconds: how long
    it goes on after the first of them. Raises FailedPreconditionError (TOOL_UNAVAILABLE).
    """
    suspects = locate(project, execution)
    fixed = fixed_lines(project, execution)
    suspicion = {
        (suspect.path, suspect.line): suspect.score
        for suspect in suspects
        if (suspect.path, suspect.line) not in fixed
    }
    failures = _failures(execution)
    first = candidates(
        project.files,
        suspicion,
        project.tests.values(),
        limit=MAX_CANDIDATES,
        messages=[failure.message for failure in failures],
        exceptions={failure.exception for failure in failures},
    )
    run = _Run(sandbox, project, execution, enough=enough, extra_seconds=extra_seconds)
    trials, used = await run.go(first, _SINGLE_SHARE * seconds)
    tried = len(trials)
    if not any(trial.passes for trial in trials) and used < seconds - 2:
        pairs = _pairs(trials)
        if pairs:
            more, also = await run.go(pairs, seconds - used)
            tried, used = tried + len(more), used + also
            trials = [*trials, *more]
    return Trials(
        tried,
        tuple(trial.patch for trial in sorted(trials, key=_worth) if trial.passes),
        tuple(_promising(trials)[:_PARTIAL]),
        _evidence(trials, len(execution.failing)),
        used,
    )


def _failures(execution: Execution) -> list[Failure]:
    return [*execution.errors, *(test.failure for test in execution.failing if test.failure is not None)]


def _worth(trial: Trial) -> tuple[float, int, int]:
    size = sum(len(edit.new) + edit.end - edit.start for edit in trial.patch.edits)
    return trial.patch.cost, size, trial.patch.edits[0].start


def _promising(trials: Sequence[Trial]) -> list[Trial]:
    some = [trial for trial in trials if trial.fixed and not trial.passes]
    return sorted(some, key=lambda trial: (-trial.fixed, trial.patch.cost))


def _evidence(trials: Sequence[Trial], failing: int) -> dict[Line, float]:
    """By line. A change that mends all tests counts whole, less the more far-fetched it is."""
    best: dict[Line, float] = {}
    for trial in trials:
        if not trial.fixed:
            continue
        share = trial.fixed / max(failing, 1)
        worth = (1.0 if trial.passes else 0.5 * share) / (1 + 0.15 * trial.patch.cost)
        where = (trial.patch.path, trial.patch.line)
        best[where] = max(best.get(where, 0.0), worth)
    return best


def _pairs(trials: Sequence[Trial]) -> list[Patch]:
    some = [trial.patch for trial in _promising(trials)[:_PARTIAL]]
    found = []
    for one, two in itertools.combinations(some, 2):
        if one.line != two.line:
            joined = one.joined(two)
            if joined is not None:
                found.append(joined)
    return sorted(found, key=lambda patch: patch.cost)[:_MAX_PAIRS]


class _Run:
    """Runs of the program inside the sandbox over one project."""

    def __init__(
        self, sandbox: Sandboxed, project: Project, execution: Execution, *, enough: int, extra_seconds: float
    ) -> None:
        self._sandbox = sandbox
        self._project = project
        quick = sorted(execution.failing, key=lambda test: (test.end is TestEnd.TIMEOUT, test.seconds))
        self._failing = [test.test_id for test in quick]
        self._passing = [test.test_id for test in execution.passing]
        ended = [test.seconds for test in execution.tests if test.end in {TestEnd.PASSED, TestEnd.FAILED}]
        self._test_seconds = min(_MOST, max(_LEAST, 10 * max(ended))) if ended else _UNKNOWN
        self._enough = enough
        self._extra = extra_seconds

    async def go(self, patches: Sequence[Patch], seconds: float) -> tuple[list[Trial], float]:
        """What each patch did that could be tried, and the seconds that it took."""
        request = {
            **run_request(self._project, way(self._project)),
            "failing": self._failing,
            "passing": self._passing,
            "candidates": [patch.wire() for patch in patches],
            "seconds": seconds,
            "test_seconds": self._test_seconds,
            "enough": self._enough,
            "extra_seconds": self._extra,
            "workers": _WORKERS,
        }
        limits = Limits(
            seconds=seconds + 8, cpu_seconds=_WORKERS * seconds + 15, memory_bytes=_MEMORY_BYTES, processes=64
        )
        job = programs.job(inside, "try_patches", self._project.everything(), request, limits)
        outcome = await self._sandbox.run(job)
        found = programs.result(outcome)
        if found is None:
            return [], outcome.seconds
        trials = [Trial(patches[index], fixed, state == 0) for index, fixed, _, state in found["results"]]
        return trials, outcome.seconds
