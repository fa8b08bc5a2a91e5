"""Runs a project's tests with pytest: outcome, traceback with locals, and the lines that each test runs.

Tests run in a child process. One that kills its process, or that hangs where no signal reaches it, costs
only itself: the parent notes it and lets the others go on. First all tests run as they are, which decides
their outcome; then, when asked, once more with every line marked.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from . import stage

# Beyond its limit a test that ignores signals is killed.
_GRACE_SECONDS = 1.5
_COLLECT_SECONDS = 15.0
_MAX_CHILDREN = 40
# After so many tests that ran into their limit the others get less.
_PATIENCE = 2
# Of the time, kept for marking lines.
_TRACE_SHARE = 0.35
_LEAST_SECONDS = 0.3
_PHASES = {"setup", "call", "teardown"}
# What is told of a test that did not come to run.
_NOTHING = {"seconds": 0.0, "output": "", "lines": {}}


class Reporter:
    """A pytest plugin that tells the parent what happens, one JSON object a line."""

    def __init__(
        self,
        *,
        pipe: int,
        done: set[str],
        places: stage.Places,
        seconds: float,
        lines: stage.Lines | None,
        late: set[str],
    ) -> None:
        self._pipe = pipe
        self._done = done
        self._places = places
        self._seconds = seconds
        self._lines = lines
        self._late = late
        self._phases: set[str] = set()
        self._outcome = ""
        self._failure: dict[str, Any] = {}
        self._output = ""
        self._used = 0.0

    def _tell(self, **message: Any) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._pipe, data) :]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leaves out what ran in an earlier child."""
        loaded = [getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins()]
        plugins = {self._places.find(path) for path in loaded if path} - {None}
        self._tell(kind="collected", ids=[item.nodeid for item in items], plugins=sorted(plugins))
        items[:] = [item for item in items if item.nodeid not in self._done]

    def _limit(self, item: pytest.Item) -> float:
        """A test that ran into its limit before shows the lines that it runs in less time."""
        return min(self._seconds, _LEAST_SECONDS) if item.nodeid in self._late else self._seconds

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any], report: Any
    ) -> None:
        """A file that cannot be collected."""
        if isinstance(report, pytest.CollectReport) and call.excinfo is not None:
            error: BaseException = call.excinfo.value
            found = stage.failure(error.__cause__ or error, self._places)
            module = getattr(error.__cause__, "name", "") or ""
            self._tell(kind="error", where=node.nodeid, module=module, **found)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that skips itself as a whole."""
        if report.skipped:
            self._tell(kind="end", id=report.nodeid, **_NOTHING, outcome="skipped")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Frames a test. It has passed when each of its phases came to its end and none objected."""
        self._tell(kind="begin", id=item.nodeid, limit=self._limit(item))
        self._outcome, self._output, self._failure = "", "", {}
        self._phases.clear()
        self._used = 0.0
        if self._lines is not None:
            self._lines.clear()
        try:
            return (yield)
        except BaseException as error:
            if self._outcome in {"", "skipped"}:
                self._outcome, self._failure = "error", stage.failure(error, self._places)
            raise
        finally:
            whole = "passed" if self._phases == _PHASES else "error"
            self._tell(
                kind="end",
                id=item.nodeid,
                outcome=self._outcome or whole,
                seconds=self._used,
                output=stage.bounded(self._output),
                lines={} if self._lines is None else self._lines.read(),
                **self._failure,
            )

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Setup has a limit."""
        with stage.time_limit(self._limit(item)), stage.own_end():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Teardown has a limit."""
        with stage.time_limit(self._limit(item)), stage.own_end():
            return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """The test itself has a limit, and its lines are marked."""
        started = time.process_time()
        try:
            with stage.time_limit(self._limit(item)), stage.own_end():
                if self._lines is None:
                    return (yield)
                self._lines.start()
                try:
                    return (yield)
                finally:
                    self._lines.stop()
        finally:
            self._used = time.process_time() - started

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Keeps what became of a phase."""
        report: Any = yield
        self._phases.add(report.when)
        if report.when == "call" and report.outcome == "passed":
            self._output += report.capstdout + report.capstderr
        if report.outcome == "skipped":
            self._outcome = self._outcome or "skipped"
        if report.outcome == "failed" and self._outcome in {"", "skipped"}:
            self._output += report.capstdout + report.capstderr
            error = None if call.excinfo is None else call.excinfo.value
            late = isinstance(error, stage.TimeUp)
            self._outcome = "timeout" if late else "failed" if report.when == "call" else "error"
            self._failure = self._pictured(error, report)
        return report

    def _pictured(self, error: BaseException | None, report: pytest.TestReport) -> dict[str, Any]:
        if error is None:
            return {"exception": "", "message": stage.bounded(str(report.longrepr)), "frames": []}
        try:
            with stage.time_limit(self._seconds):
                found = stage.failure(error, self._places)
        except stage.TimeUp:
            found = {"exception": type(error).__name__, "message": "", "frames": []}
        if isinstance(error, stage.TimeUp):
            found["message"] = f"it did not end within {self._seconds:.1f} s of processor time"
        return found


class Run:
    """All tests of a project, in as many children as it takes."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        self._deadline = time.monotonic() + float(asked["seconds"])
        self._limit = float(asked["test_seconds"])
        self._places = stage.Places(asked["sizes"])
        self.collected: list[str] = []
        self.plugins: list[str] = []
        self.errors: list[dict[str, Any]] = []
        self.tests: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, dict[str, list[int]]] = {}
        self.detail = ""

    def whole(self) -> None:
        """Runs the tests, then marks their lines."""
        whole = self._deadline
        if self._asked["trace"]:
            self._deadline -= _TRACE_SHARE * float(self._asked["seconds"])
        self._go(None, self.tests)
        self._deadline = whole
        if self._asked["trace"] and self.tests:
            traced: dict[str, dict[str, Any]] = {}
            lines = stage.Lines(self._asked["sizes"], self._places)
            self._go(lines, traced)
            self.lines = {test_id: result["lines"] for test_id, result in traced.items()}

    def _go(self, lines: stage.Lines | None, results: dict[str, dict[str, Any]]) -> None:
        for _ in range(_MAX_CHILDREN):
            if self._child(lines, results) or time.monotonic() > self._deadline:
                return

    def _limit_now(self, results: Mapping[str, Mapping[str, Any]]) -> float:
        late = sum(result["outcome"] == "timeout" for result in results.values())
        if late < _PATIENCE:
            return self._limit
        passed = [result["seconds"] for result in results.values() if result["outcome"] == "passed"]
        return min(self._limit, max(_LEAST_SECONDS, 10 * max(passed, default=0.0)))

    def _child(self, lines: stage.Lines | None, results: dict[str, dict[str, Any]]) -> bool:
        """Whether it came to its end by itself, with nothing left to run."""
        limit = self._limit_now(results)
        reader, writer = os.pipe()
        os.set_inheritable(writer, False)
        process = os.fork()
        if process == 0:
            os.close(reader)
            stage.limit_memory()
            try:
                late = {name for name, result in self.tests.items() if result["outcome"] == "timeout"}
                plugin = Reporter(
                    pipe=writer,
                    done=set(results),
                    places=self._places,
                    seconds=limit,
                    lines=lines,
                    late=late,
                )
                stage.main(self._asked["arguments"], [stage.Collecting(self._asked["scripts"]), plugin])
                os.write(writer, json.dumps({"kind": "exit"}).encode() + b"\n")
            except BaseException as error:  # nothing may leave a child
                os.write(
                    writer, json.dumps({"kind": "broken", "detail": stage.detail(error)}).encode() + b"\n"
                )
            finally:
                stage.quit_now()
        os.close(writer)
        try:
            return self._follow(process, reader, limit, lines, results)
        finally:
            os.close(reader)

    def _follow(
        self,
        process: int,
        reader: int,
        limit: float,
        lines: stage.Lines | None,
        results: dict[str, dict[str, Any]],
    ) -> bool:
        child = _Child(lines is None)
        while child.silence is None:
            left = min(child.last + child.patience, self._deadline) - time.monotonic()
            ready = select.select([reader], [], [], max(left, 0))[0]
            data = os.read(reader, 1 << 16) if ready else b""
            if data:
                child.hear(data, self, results)
                if child.late == _PATIENCE and self._limit_now(results) < limit:
                    child.silence = "impatient"  # the next child has less patience
            else:
                child.silence = "gone" if ready else "hung"
        if not child.ended:
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        if child.silence == "impatient":
            return False
        hung = child.silence == "hung"
        if child.current and time.monotonic() < self._deadline:
            results[child.current] = {
                "id": child.current,
                "outcome": "timeout" if hung else "crashed",
                "seconds": time.monotonic() - child.last,
                "output": "",
                "lines": {} if lines is None else lines.read(),
                "exception": "",
                "message": "it hung and was killed" if hung else f"it ended its process ({_end(status)})",
                "frames": [],
            }
            return False
        if not child.ended and not self.detail:
            self.detail = "the test run took too long" if hung else f"it ended early ({_end(status)})"
        return True


class _Child:
    """What a child has told so far.

    silence: why nothing more is heard: "gone", "hung" or "impatient"; None while it is at work.
    """

    def __init__(self, first: bool) -> None:
        self.current = ""
        self.ended = False
        self.late = 0
        self.silence: str | None = None
        self.last = time.monotonic()
        self.patience = _COLLECT_SECONDS
        self._first = first
        self._buffer = b""

    def hear(self, data: bytes, run: Run, results: dict[str, dict[str, Any]]) -> None:
        """Takes in what came through the pipe."""
        *whole, self._buffer = (self._buffer + data).split(b"\n")
        for line in whole:
            self.last = time.monotonic()
            message = json.loads(line)
            kind = message.pop("kind")
            if kind == "begin":
                self.current = message["id"]
                self.patience = stage.wall_seconds(message["limit"]) + _GRACE_SECONDS
            elif kind == "end":
                self.current, self.patience = "", _COLLECT_SECONDS
                results[message["id"]] = message
                self.late += message["outcome"] == "timeout"
            elif kind == "collected":
                run.collected, run.plugins = run.collected or message["ids"], message["plugins"]
            elif kind == "error" and self._first and message not in run.errors:
                run.errors.append(message)
            elif kind == "exit":
                self.ended = True
            elif kind == "broken":
                run.detail = message["detail"]


def _end(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def main() -> None:
    """Answers the request."""
    asked = stage.request()
    stage.Script.argv = tuple(asked["script_argv"])
    stage.enter(asked["sizes"])
    run = Run(asked)
    # Code under test runs in children alone, so these are the files as they were given.
    given = {path: Path(path).read_bytes() for path in asked["sizes"]}
    run.whole()
    order = dict.fromkeys([*run.collected, *run.tests])
    stage.answer(
        {
            "collected": run.collected,
            "plugins": run.plugins,
            "errors": run.errors,
            "tests": [run.tests[name] for name in order if name in run.tests],
            "lines": run.lines,
            "rewritten": [path for path, text in given.items() if _content(path) != text],
            "detail": run.detail,
        }
    )
