"""The program: reads what is asked, measures, writes what there is after each step."""

from __future__ import annotations

import contextlib
import copy
import cProfile
import gc
import hashlib
import json
import os
import pstats
import random
import re
import signal
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from line_profiler import LineProfiler

from .entry import Entry, NoEntryError, find

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"
_LARGEST = 1_000_000
_DOUBLED_FROM = 64
_REPETITIONS = 7
# A measurement lasts at least so long, by calls in a row, that the clock's own steps do not matter.
_LEAST_SECONDS = 0.001
_TRIES = 3
# What takes so long is not measured three times.
_LONG_SECONDS = 0.05
_MAX_LOOPS = 10_000
_MAX_LINES = 40
_MAX_FUNCTIONS = 30
_MAX_CODE = 160
# Inside a repr: an address, which is another one in each process.
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")


class _TooSlow(BaseException):
    """A call took longer than it may."""


class Report:
    """The result so far; the file always holds whole JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.value: dict[str, Any] = {}

    def tell(self, **values: Any) -> None:
        """Adds values and writes all of them."""
        self.value |= values
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self.value))
        fresh.replace(self._path)


def main() -> None:
    """Does one phase: "growth", "times", "lines" or "memory"."""
    request = json.loads(Path(REQUEST).read_text())
    report = Report(Path(RESULT))
    root = Path.cwd()
    signal.signal(signal.SIGALRM, _stop)
    # What the code prints is not asked for, and printing it would be measured.
    with Path(os.devnull).open("w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        try:
            with _at_most(request["seconds"]):
                entry = find(root, request["paths"], request["entry"], request["generator"], request["seed"])
                report.tell(
                    entry={
                        "path": entry.path,
                        "function": entry.function,
                        "line": entry.line,
                        "chosen": entry.chosen,
                        "inputs": entry.inputs,
                        "sized": entry.sized,
                    }
                )
                _PHASES[request["phase"]](entry, request, report)
        except NoEntryError as error:
            report.tell(no_entry=str(error))
        except _TooSlow:
            report.tell(stopped=f"it took longer than {request['seconds']:g} s")
        except Exception as error:
            report.tell(error=_told(error, root))
        except SystemExit as error:
            report.tell(error=f"the code ended the process ({error.code})")
    report.tell(finished=True)


def _growth(entry: Entry, request: dict[str, Any], report: Report) -> None:
    """Times at sizes that grow by about the square root of 2, as far as the time reaches, then again in
    turn.
    """
    began = time.monotonic()
    budget = request["seconds"] * 0.9
    times: dict[int, list[float]] = {}
    sizes = request["sizes"] or (list(_sizes()) if entry.sized else [1])
    slow = ""
    for n in sizes:
        try:
            with _at_most(min(1.5, budget / 4) if not request["sizes"] else budget / 2):
                times[n] = [_time(entry, n)]
        except _TooSlow:
            slow = f"a call with n = {n} takes too long"
            break
        except RecursionError:
            slow = f"a call with n = {n} recurses too deep"
            break
        except MemoryError:
            slow = f"a call with n = {n} needs too much memory"
            break
        report.tell(times=_listed(times), slow=slow)
        if not request["sizes"] and (times[n][0] > 0.25 or time.monotonic() - began > budget / 3):
            break
    report.tell(times=_listed(times), slow=slow)
    for _ in range(_REPETITIONS - 1):
        order = list(times)
        random.Random(request["seed"]).shuffle(order)  # noqa: S311
        for n in order:
            if time.monotonic() - began + 2 * times[n][0] > budget:
                continue
            times[n].append(_time(entry, n))
        report.tell(times=_listed(times))


def _times(entry: Entry, request: dict[str, Any], report: Report) -> None:
    """Times at the sizes asked for, and what the function made of seeded inputs, to compare two versions."""
    report.tell(digest=_digest(entry, request["sizes"]))
    times: dict[int, list[float]] = {n: [] for n in request["sizes"]}
    for _ in range(request["repetitions"]):
        for n in request["sizes"]:
            times[n].append(_time(entry, n))
    report.tell(times=_listed(times))


def _lines(entry: Entry, request: dict[str, Any], report: Report) -> None:
    """Seconds by function (cProfile), then by line (line_profiler), each in a call of its own."""
    n = request["sizes"][0]
    root = Path.cwd()
    arguments = entry.arguments(n)
    profile = cProfile.Profile()
    profile.runcall(entry.call, *copy.deepcopy(arguments))
    report.tell(functions=_functions(profile, root))
    profiler = LineProfiler()
    for function in _own_functions(root):
        profiler.add_function(function)
    prepared = copy.deepcopy(arguments)
    profiler.enable_by_count()
    try:
        entry.call(*prepared)
    finally:
        profiler.disable_by_count()
    stats = profiler.get_stats()
    found: list[dict[str, Any]] = [
        {
            "path": _relative(Path(path), root),
            "function": name,
            "line": line,
            "hits": hits,
            "seconds": spent * stats.unit,
            "code": _code(path, line),
        }
        for (path, _, name), timings in stats.timings.items()
        for line, hits, spent in timings
        if _relative(Path(path), root)
    ]
    found.sort(key=lambda row: -row["seconds"])
    report.tell(lines=found[:_MAX_LINES], size=n)


def _memory(entry: Entry, request: dict[str, Any], report: Report) -> None:
    """The peak of what a call allocates at each size, and by line at the last one."""
    root = Path.cwd()
    peaks = []
    for n in request["sizes"]:
        arguments = copy.deepcopy(entry.arguments(n))
        gc.collect()
        tracemalloc.start(1)
        before = tracemalloc.take_snapshot() if n == request["sizes"][-1] else None
        tracemalloc.reset_peak()
        base = tracemalloc.get_traced_memory()[0]
        result = entry.call(*arguments)
        peak = tracemalloc.get_traced_memory()[1] - base
        peaks.append([n, max(0, peak)])
        report.tell(peaks=peaks)
        if before is not None:
            after = tracemalloc.take_snapshot()
            report.tell(kept=_kept(after, before, root), size=n)
        tracemalloc.stop()
        del result


def _kept(after: tracemalloc.Snapshot, before: tracemalloc.Snapshot, root: Path) -> list[dict[str, Any]]:
    """Memory by line that is held when the call has ended, its result included."""
    rows: list[dict[str, Any]] = [
        {
            "path": _relative(Path(row.traceback[0].filename), root),
            "line": row.traceback[0].lineno,
            "bytes": row.size_diff,
            "code": _code(row.traceback[0].filename, row.traceback[0].lineno),
        }
        for row in after.compare_to(before, "lineno")
        if row.size_diff > 0
    ]
    return [row for row in rows if row["path"]][:_MAX_LINES]


_PHASES: dict[str, Callable[[Entry, dict[str, Any], Report], None]] = {
    "growth": _growth,
    "times": _times,
    "lines": _lines,
    "memory": _memory,
}


def _time(entry: Entry, n: int) -> float:
    """Seconds of a call, the best of three tries: what disturbs only ever makes it longer.

    Arguments are made outside of the clock, and fresh for each call that changes them.
    """
    arguments = entry.arguments(n)
    clear = getattr(entry.call, "cache_clear", None)
    tried = copy.deepcopy(arguments)
    loops, spent = 1, _clocked(entry.call, [tried], clear)
    changing = not _equal(tried, arguments)

    def again(count: int) -> float:
        calls = [copy.deepcopy(arguments) for _ in range(count)] if changing else [arguments] * count
        return _clocked(entry.call, calls, clear)

    while spent < _LEAST_SECONDS and loops < _MAX_LOOPS and clear is None:
        loops = min(_MAX_LOOPS, max(loops * 2, round(loops * 1.5 * _LEAST_SECONDS / max(spent, 1e-7))))
        if changing and loops * n > _LARGEST:
            break
        spent = again(loops)
    tries = _TRIES - 1 if spent < _LONG_SECONDS else 0
    return min([spent, *(again(loops) for _ in range(tries))]) / loops


def _clocked(
    call: Callable[..., Any], calls: list[tuple[Any, ...]], clear: Callable[[], object] | None
) -> float:
    """Seconds of the calls in a row. clear: empties what the function remembers of earlier calls."""
    if clear is not None:
        clear()
    collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        for arguments in calls:
            call(*arguments)
        return time.perf_counter() - started
    finally:
        if collecting:
            gc.enable()


def _equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether arguments are as they were; what cannot be compared counts as changed."""
    try:
        return bool(one == other)
    except Exception:
        return False


def _sizes() -> Iterator[int]:
    """4, 6, 8, 12, ... up to 64, close together for what grows fast; then twice as large each."""
    n = 4
    while n <= _LARGEST:
        yield n
        n = n * 2 if n >= _DOUBLED_FROM else n * 3 // 2 if n & (n - 1) == 0 else n // 3 * 4


def _digest(entry: Entry, sizes: list[int]) -> str:
    """SHA-256 of what comes out of seeded calls, changed arguments included; empty when it cannot be told."""
    parts = []
    for n in sorted({3, 10, *sizes}):
        arguments = copy.deepcopy(entry.arguments(n))
        parts.append(repr((entry.call(*arguments), arguments)))
    text = "\0".join(parts)
    return "" if _ADDRESS.search(text) else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _own_functions(root: Path) -> Iterator[Any]:
    """Functions and methods of the modules that stand in the project."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not _relative(Path(file), root):
            continue
        for value in list(vars(module).values()):
            members = list(vars(value).values()) if isinstance(value, type) else [value]
            for member in members:
                function = getattr(member, "__func__", getattr(member, "fget", member))
                function = getattr(function, "__wrapped__", function)
                if getattr(function, "__module__", None) == module.__name__ and hasattr(function, "__code__"):
                    yield function


def _functions(profile: cProfile.Profile, root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "path": _relative(Path(path), root),
            "line": line,
            "function": name,
            "calls": calls,
            "own_seconds": own,
            "seconds": total,
        }
        for (path, line, name), (_, calls, own, total, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
        if "_lsprof.Profiler" not in name
    ]
    rows.sort(key=lambda row: -row["own_seconds"])
    return rows[:_MAX_FUNCTIONS]


def _relative(path: Path, root: Path) -> str:
    """The path within the project; empty for anything else, this program included."""
    try:
        inner = path.resolve().relative_to(root.resolve())
    except ValueError:
        return ""
    return "" if inner.parts[0] == ".meld" else inner.as_posix()


def _code(path: str, line: int) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
        return Path(path).read_text("utf-8").splitlines()[line - 1].strip()[:_MAX_CODE]
    return ""


def _listed(times: dict[int, list[float]]) -> list[list[Any]]:
    return [[n, costs] for n, costs in sorted(times.items()) if costs]


def _told(error: BaseException, root: Path) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _relative(Path(frame.filename), root)
    ]
    where = f" at {_relative(Path(frames[-1].filename), root)}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" at {error.filename}:{error.lineno}"
    return f"{type(error).__name__}: {str(error)[:300]}{where}"


def _stop(_: int, __: FrameType | None) -> None:
    raise _TooSlow


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises _TooSlow inside when the time is over. May be nested: the outer clock goes on afterwards."""
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.monotonic()
    try:
        yield
    finally:
        left = max(0.001, before - (time.monotonic() - began)) if before else 0.0
        signal.setitimer(signal.ITIMER_REAL, left)
