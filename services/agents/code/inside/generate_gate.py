"""Runs pytest on test files, inside the sandbox: outcomes of each case, several times, and the coverage.

Reads .meld/request.json: {"roots", "tests" (paths), "sources" (paths), "runs" (pairs of a hash seed and a
number of runs), "coverage" (bool), "seconds" (of each run)}. Writes .meld/result.json: {"runs": [{key:
outcome}], "coverage": {...}, "errors": [...]}.
A key is "path::name" or "path::name#index" for the index-th case of a parametrised test.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before the project's paths count: it may have modules of these names.
import coverage
import pytest
from coverage.exceptions import CoverageException

from .generate_sessions import in_child

HOME = ".meld"


class Recorder:
    """A plugin that notes what became of each test; backwards: runs them in the opposite order."""

    def __init__(self, *, backwards: bool) -> None:
        self.outcomes: dict[str, str] = {}
        self.errors: list[str] = []
        self._backwards = backwards
        self._keys: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Notes the key of each test."""
        for item in items:
            name = getattr(item, "originalname", None) or item.name
            path = item.nodeid.split("::")[0]
            above = "::".join(item.nodeid.split("::")[1:-1])
            key = f"{path}::{above + '::' if above else ''}{name}"
            indices = getattr(getattr(item, "callspec", None), "indices", {})
            if indices:
                key += f"#{next(iter(indices.values()))}"
            self._keys[item.nodeid] = key
        if self._backwards:
            items.reverse()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Notes an outcome; what failed in any phase has failed."""
        key = self._keys.get(report.nodeid, report.nodeid)
        if report.when == "call" or report.outcome != "passed":
            if self.outcomes.get(key) != "failed":
                self.outcomes[key] = report.outcome
            if report.outcome == "failed" and len(self.errors) < 20:
                self.errors.append(f"{key}: {str(report.longrepr)[-400:]}")

    def pytest_collectreport(self, report: Any) -> None:
        """Notes a file that cannot be collected."""
        if report.outcome == "failed":
            self.outcomes[f"{report.nodeid}::"] = "failed"
            self.errors.append(f"{report.nodeid}: {str(report.longrepr)[-400:]}")


def options() -> list[str]:
    """What pytest is told always: nothing of the surroundings, nothing written."""
    return ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:timeout",
            "-p", "no:asyncio", "--rootdir", ".", "--import-mode=importlib", "-o", "addopts="]  # fmt: skip


def paths(roots: list[str]) -> None:
    """Makes the project importable."""
    sys.dont_write_bytecode = True
    for root in reversed(roots):
        sys.path.insert(0, str(Path(root).absolute()))


def once(first: int, count: int, *, measure: bool) -> None:
    """A program of its own: so many runs, each in a fork, their outcomes in .meld/once.json.

    first: number of the first run; those of odd numbers go backwards. measure: the first one is measured.
    """
    data = json.loads(Path(HOME, "request.json").read_text("utf-8"))
    paths(data["roots"])
    if any("hypothesis" in Path(path).read_text("utf-8") for path in data["tests"]):
        # Loaded once for all forks, and only then: it takes longer than many a test.
        importlib.import_module("hypothesis.strategies")

    def run(number: int) -> dict[str, Any]:
        measured: dict[str, Any] = {}
        recorder = Recorder(backwards=bool(number % 2))
        with Path(os.devnull).open("w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
            if measure and number == first:
                measured = _measuring(lambda: pytest.main(arguments, plugins=[recorder]), data["sources"])
            else:
                pytest.main(arguments, plugins=[recorder])
        return {"outcomes": recorder.outcomes, "errors": recorder.errors, "coverage": measured}

    arguments = [*options(), *data["tests"]]
    results = [in_child(lambda n=n: run(n), float(data["seconds"])) for n in range(first, first + count)]
    Path(HOME, "once.json").write_text(json.dumps(results), "utf-8")


def _measuring(run: Callable[[], object], paths_measured: list[str]) -> dict[str, Any]:
    sources = [str(Path(path).absolute()) for path in paths_measured]
    watch = coverage.Coverage(data_file=None, config_file=False, branch=True, include=sources)
    watch.start()
    run()
    watch.stop()
    return _measured(watch, paths_measured)


def _measured(watch: Any, sources: list[str]) -> dict[str, Any]:
    """For each file: how many lines and branches there are and ran, and which lines."""
    report: dict[str, Any] = {}
    path = Path(HOME, "coverage.json")
    with contextlib.suppress(CoverageException):
        watch.json_report(outfile=str(path), ignore_errors=True)
        report = json.loads(path.read_text("utf-8"))["files"]
    by_path = {str(Path(name).absolute()): entry for name, entry in report.items()}
    found = {}
    for source in sources:
        entry = by_path.get(str(Path(source).absolute()))
        if entry is not None:
            summary = entry["summary"]
            found[source] = {
                "lines": summary["num_statements"],
                "run": summary["covered_lines"],
                "branches": summary["num_branches"],
                "branches_run": summary["covered_branches"],
                "missing": entry["missing_lines"],
                "executed": entry["executed_lines"],
            }
            continue
        with contextlib.suppress(CoverageException):
            lines = watch.analysis2(str(Path(source).absolute()))[1]
            found[source] = {"lines": len(lines), "run": 0, "branches": 0, "branches_run": 0,
                             "missing": lines, "executed": []}  # fmt: skip
    return found


def main() -> None:
    """Runs pytest with each hash seed so many times, every second time backwards, and writes all outcomes."""
    data = json.loads(Path(HOME, "request.json").read_text("utf-8"))
    runs: list[dict[str, str] | None] = []
    errors: list[str] = []
    measured: dict[str, Any] = {}
    for seed, count in data["runs"]:
        Path(HOME, "once.json").unlink(missing_ok=True)
        measure = bool(data["coverage"]) and not runs
        call = f"g.once({len(runs)}, {count}, measure={measure})"
        program = (
            f"import sys; sys.path.insert(0, {HOME!r}); from meld_inside import generate_gate as g; {call}"
        )
        os.putenv("PYTHONHASHSEED", str(seed))
        results: list[dict[str, Any] | None]
        try:
            subprocess.run(
                [sys.executable, "-c", program],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=float(data["seconds"]) * count + 10,
                check=False,
            )
            results = json.loads(Path(HOME, "once.json").read_text("utf-8"))
        except (subprocess.TimeoutExpired, OSError, ValueError):
            results = [None] * count
        for one in results:
            if one is None:
                errors.append(f"run {len(runs)}: the tests did not end or left no result")
                runs.append(None)
                continue
            runs.append(one["outcomes"])
            errors += one["errors"]
            measured = one["coverage"] or measured
    report = {"runs": runs, "coverage": measured, "errors": errors[:40]}
    Path(HOME, "result.json").write_text(json.dumps(report), "utf-8")
