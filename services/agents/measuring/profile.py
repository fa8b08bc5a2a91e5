"""Profiles code in the sandbox: how its time and memory grow, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from services.agents.code import programs, testimony
from services.agents.measuring import charts, inside
from services.agents.measuring.charts import Chart
from services.agents.measuring.growth import Growth, growth
from services.agents.ports import JsonObject, Sandboxed
from services.sandbox.model import Limits

MAX_SIZES = 24
MAX_SIZE = 10_000_000
_SECONDS = 8.0
_MEMORY_BYTES = 1 << 30
# A profiled call takes many times as long as a free one.
_LINE_SECONDS = 0.03
_MEMORY_SECONDS = 0.3
_MAX_MEMORY_SIZES = 10
# Below, it is the interpreter's own small change.
_LEAST_PEAK = 16_384


@dataclass(frozen=True)
class Subject:
    """What is measured.

    files: by path. entry, generator: "path.py:function"; empty leaves the choice to what the files hold.
    sizes: ascending; empty lets them grow as far as the time reaches.
    """

    files: Mapping[str, str]
    entry: str = ""
    generator: str = ""
    sizes: tuple[int, ...] = ()

    def paths(self) -> list[str]:
        """The Python files."""
        return sorted(path for path in self.files if path.endswith(".py"))


@dataclass(frozen=True)
class Profile:
    """What was measured of a subject. `to_json` makes plain JSON of it.

    reason: why nothing was; then the rest is empty. entry: path, function, line, chosen (why), inputs (in
    words), sized. times: seconds at each size, repeated. peaks: bytes at each size. slow: why sizes end
    where they do.
    lines: path, line, function, hits, seconds, code; most seconds first. functions: path, line, function,
    calls, own_seconds, seconds. kept: path, line, bytes, code. size: the n of lines and functions. notes:
    what could not be measured, and why.
    """

    reason: str = ""
    entry: JsonObject = field(default_factory=dict)
    times: list[tuple[int, list[float]]] = field(default_factory=list)
    peaks: list[tuple[int, int]] = field(default_factory=list)
    slow: str = ""
    size: int = 0
    lines: list[JsonObject] = field(default_factory=list)
    functions: list[JsonObject] = field(default_factory=list)
    kept: list[JsonObject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Profile:
        """What `to_json` wrote down."""
        return cls(**value)

    def medians(self) -> tuple[list[int], list[float]]:
        """Sizes and the median seconds there."""
        return [n for n, _ in self.times], [float(np.median(costs)) for _, costs in self.times]

    def time_growth(self) -> Growth | None:
        """How seconds grow; None when no size was varied."""
        if not self.entry.get("sized"):
            return None
        return growth([n for n, _ in self.times], [costs for _, costs in self.times])

    def memory_growth(self) -> Growth | None:
        """How the peak of memory grows; None when it was not measured, or is too small to speak of."""
        if not self.entry.get("sized") or max((peak for _, peak in self.peaks), default=0) < _LEAST_PEAK:
            return None
        return growth([n for n, _ in self.peaks], [[max(1.0, float(peak))] for _, peak in self.peaks])

    def charts(self) -> list[Chart]:
        """Time and memory over the size."""
        sizes, costs = self.medians()
        drawn = []
        name = self.entry.get("function", "")
        for what, unit, n, values, fit in (
            (f"Time of {name}", "s", sizes, costs, self.time_growth()),
            (
                f"Peak memory of {name}",
                "bytes",
                [n for n, _ in self.peaks],
                [float(peak) for _, peak in self.peaks],
                self.memory_growth(),
            ),
        ):
            if fit is None or sum(value > 0 for value in values) < 2:
                continue
            at = np.array(n, dtype=np.float64)
            fitted = fit.predict(at) if fit.name else None
            drawn.append(
                charts.growth_plot(what, unit, at, np.array(values), fitted=fitted, fit_name=fit.name)
            )
        return drawn


async def profile(sandbox: Sandboxed, subject: Subject, seconds: float = _SECONDS) -> Profile:
    """Measures growth, lines, functions and memory, each in a process of its own of at most `seconds`.

    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is no sandbox.
    """
    if not subject.paths():
        return Profile(reason="Only Python can be measured here, and none of the files is a Python file.")
    first = await run_phase(sandbox, subject, "growth", subject.sizes, seconds=seconds)
    times = [(n, costs) for n, costs in first.get("times", [])]
    if not times:
        return Profile(reason=why_nothing(first), entry=first.get("entry", {}))
    notes = [f"Growth: {first[what]}." for what in ("error", "stopped") if first.get(what)]
    entry: JsonObject = first["entry"]
    lines_at = _largest(times, _LINE_SECONDS)
    second = await run_phase(sandbox, subject, "lines", [lines_at], seconds=seconds)
    memory_at = [n for n, costs in times if min(costs) <= _MEMORY_SECONDS] or [times[0][0]]
    third = await run_phase(sandbox, subject, "memory", _spaced(memory_at), seconds=seconds)
    for name, result, wanted in (("Lines", second, "lines"), ("Memory", third, "peaks")):
        if not result.get(wanted) or result.get("error") or result.get("stopped"):
            notes.append(f"{name}: {why_nothing(result)}")
    return Profile(
        entry=entry,
        times=times,
        peaks=[(n, peak) for n, peak in third.get("peaks", [])],
        slow=first.get("slow", ""),
        size=lines_at,
        lines=second.get("lines", []),
        functions=second.get("functions", []),
        kept=third.get("kept", []),
        notes=notes,
    )


async def run_phase(
    sandbox: Sandboxed,
    subject: Subject,
    phase: str,
    sizes: Sequence[int],
    *,
    seconds: float,
    repetitions: int = 1,
) -> JsonObject:
    """What the program inside told in one of its phases, as far as it came. `unread` says why it told
    nothing.
    """
    request = {
        "phase": phase,
        "paths": subject.paths(),
        "entry": subject.entry,
        "generator": subject.generator,
        "sizes": list(sizes),
        "seconds": seconds,
        "repetitions": repetitions,
        "seed": 0,
    }
    limits = Limits(seconds=seconds + 5, cpu_seconds=seconds + 5, memory_bytes=_MEMORY_BYTES)
    outcome = await sandbox.run(programs.job(inside, "measure", subject.files, request, limits))
    result = read_result(programs.result(outcome) or {})
    if not result.get("finished"):
        result["unread"] = programs.why_no_result(outcome)
    return result


# What a row of a list holds. The measured code could have written anything.
_ROWS: Mapping[str, Mapping[str, type]] = {
    "lines": {"path": str, "function": str, "line": int, "hits": int, "seconds": float, "code": str},
    "functions": {
        "path": str,
        "function": str,
        "line": int,
        "calls": int,
        "own_seconds": float,
        "seconds": float,
    },
    "kept": {"path": str, "line": int, "bytes": int, "code": str},
}
_ENTRY = {"path": str, "function": str, "line": int, "chosen": str, "inputs": str, "sized": bool}
_MAX_ROWS = 60


def read_result(told: Mapping[str, Any]) -> JsonObject:
    """What the program told, every value of its kind and within bounds; {} when it is nothing of the sort."""
    try:
        result: JsonObject = {
            what: str(told[what])[:500]
            for what in ("error", "stopped", "no_entry", "slow", "digest")
            if told.get(what)
        }
        if "entry" in told:
            result["entry"] = testimony.row(told["entry"], _ENTRY)
        if "times" in told:
            result["times"] = [
                [testimony.whole(n), [testimony.amount(cost) for cost in costs[:_MAX_ROWS]]]
                for n, costs in told["times"][:_MAX_ROWS]
            ]
        if "peaks" in told:
            result["peaks"] = [
                [testimony.whole(n), testimony.amount(peak)] for n, peak in told["peaks"][:_MAX_ROWS]
            ]
        for name, kinds in _ROWS.items():
            if name in told:
                result[name] = testimony.rows(told[name], kinds, _MAX_ROWS)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return result | ({"finished": True} if told.get("finished") is True else {})


def why_nothing(result: Mapping[str, Any]) -> str:
    """Why a phase measured nothing."""
    if result.get("no_entry"):
        return f"There is no function to measure: {result['no_entry']}."
    for what in ("error", "stopped", "slow", "unread"):
        if result.get(what):
            return f"The code could not be measured: {result[what]}."
    return "The code could not be measured: it left no result."


def _largest(times: Sequence[tuple[int, list[float]]], seconds: float) -> int:
    """The largest size whose call takes at most so long; else the smallest of all."""
    return max((n for n, costs in times if min(costs) <= seconds), default=times[0][0])


def _spaced(sizes: Sequence[int]) -> list[int]:
    """The largest sizes, as many as are worth it."""
    return list(sizes[-_MAX_MEMORY_SIZES:])
