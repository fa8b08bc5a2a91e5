"""Changes of code that should make it faster, each measured before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from services.agents.measuring import ranks
from services.agents.measuring.comparison import Comparison, compare
from services.agents.measuring.profile import Subject, run_phase, why_nothing
from services.agents.ports import JsonObject, Sandboxed

MAX_CHANGES = 5
_LEVEL = 0.05
# Processes per version. The least p-value of 6 against 6 is 0.002, and holds for five proposals at once.
_ROUNDS = 6
_REPETITIONS = 5
_SECONDS = 6.0


@dataclass(frozen=True)
class Change:
    """Files as they would be, by path. Empty where nothing can be executed."""

    title: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Judgement:
    """Whether a change helps. verdict: "VERIFIED", "FAILED" or "NOT_RUN"; the reason is empty when VERIFIED.

    before, after: median seconds at `size`. corrected: p-value for all the changes that were measured
    together.
    """

    verdict: str
    reason: str = ""
    before: float | None = None
    after: float | None = None
    size: int = 0
    corrected: float | None = None

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        return asdict(self)


async def judge(
    sandbox: Sandboxed, subject: Subject, size: int, changes: Sequence[Change]
) -> list[Judgement]:
    """A judgement of each change, in order.

    subject: with its entry named. Every version runs in 6 processes, in turn, so that what disturbs the
    machine disturbs all alike; the medians of the processes are compared (Mann and Whitney, Holm). A change
    that computes something else has failed, however fast. Raises FailedPreconditionError (TOOL_UNAVAILABLE).
    """
    refused = {i: reason for i, change in enumerate(changes) if (reason := _refusal(subject, change, i))}
    versions = {
        i: replace(subject, files={**subject.files, **change.files})
        for i, change in enumerate(changes)
        if i not in refused
    }
    told: dict[int, list[JsonObject]] = {i: [] for i in (-1, *versions)}
    for _ in range(_ROUNDS if versions else 0):
        for i, version in ((-1, subject), *versions.items()):
            # What failed once is not tried again.
            if told[i] and not told[i][-1].get("times"):
                continue
            told[i].append(
                await run_phase(sandbox, version, "times", [size], seconds=_SECONDS, repetitions=_REPETITIONS)
            )
    broken = {i: why_nothing(runs[-1]) for i, runs in told.items() if runs and not _complete(runs)}
    if -1 in broken:
        return [Judgement("NOT_RUN", refused.get(i, broken[-1])) for i in range(len(changes))]
    compared = {i: _compared(told[-1], told[i]) for i in versions if i not in broken}
    corrected = dict(zip(compared, ranks.holm([c.p_value for c in compared.values()]), strict=True))
    return [
        Judgement("NOT_RUN", refused[i])
        if i in refused
        else Judgement("FAILED", broken[i])
        if i in broken
        else _judged(told[-1], told[i], compared[i], corrected[i], size)
        for i in range(len(changes))
    ]


def _refusal(subject: Subject, change: Change, position: int) -> str:
    if not change.files:
        return "It is no change of the code, so there is nothing to measure."
    strange = sorted(set(change.files) - set(subject.files))
    if strange:
        return f"It changes {strange[0][:100]!r}, which is not among the files."
    if all(subject.files[path] == text for path, text in change.files.items()):
        return "It changes nothing."
    return "" if position < MAX_CHANGES else f"Only the first {MAX_CHANGES} proposals are measured."


def _complete(runs: Sequence[Mapping[str, Any]]) -> bool:
    return all(run.get("times") and run["times"][0][1] for run in runs)


def _process_medians(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(np.median(run["times"][0][1])) for run in runs]


def _compared(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Comparison:
    made = compare(("before", "after"), np.array(_process_medians(before)), np.array(_process_medians(after)))
    assert made is not None  # noqa: S101 - there are as many processes as rounds
    return made


def _judged(
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    made: Comparison,
    corrected: float,
    size: int,
) -> Judgement:
    digests = {str(run.get("digest", "")) for run in before}
    others = {str(run.get("digest", "")) for run in after}
    verdict, reason = "VERIFIED", ""
    if digests == {""} or len(digests) > 1:
        verdict = "NOT_RUN"
        reason = "Whether the change computes the same cannot be shown: results differ from run to run."
    elif digests != others:
        verdict, reason = "FAILED", "It computes something else."
    elif corrected > _LEVEL:
        verdict, reason = "FAILED", f"No difference in time is certain (p = {corrected:.2g})."
    elif made.shift >= 0:
        verdict, reason = "FAILED", "It is slower."
    return Judgement(verdict, reason, made.medians[0], made.medians[1], size, corrected)
