"""Tries many changes of a project's files on its tests: those that fail first, then those that pass.

The tests are collected once. Children of that process put a changed module's code into the functions that
are there already, so that whoever imported them sees the change. A test that is a plain function runs
directly, many changes in one child; others get a child for each change. What passes here is a candidate and
no more: the proof is a run of the tests as they are, by `run_tests`.
"""

from __future__ import annotations

import copy
import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from . import stage

_CHUNK = 24
# Signals end what is slow; this is for what hears none, on a machine that may be busy.
_GRACE_SECONDS = 2.5
# Failing tests that still fail, after which a change is given up.
_ENOUGH_FAILURES = 2


class Swap:
    """Puts the code of a changed file into the modules that are loaded."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._texts = {path: Path(path).read_text("utf-8") for path in paths}
        self._modules: dict[str, ModuleType] = {}
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            for path in paths:
                if name is not None and str(Path(path).resolve()) == name:
                    self._modules[path] = module
        self._changed = self._written = ""

    def put(self, path: str, edits: Sequence[Sequence[Any]]) -> bool:
        """Applies edits (start, end, new text) to the file; False when the result cannot be compiled."""
        if self._changed and self._changed != path:
            self._load(self._changed, self._texts[self._changed])
        self._changed = path
        return self._load(path, self._edited(path, edits))

    def write(self, path: str, edits: Sequence[Sequence[Any]]) -> None:
        """Writes the changed file for tests that read it themselves."""
        for other, text in self._texts.items():
            if other == self._written:
                Path(other).write_text(text, "utf-8")
        self._written = path
        Path(path).write_text(self._edited(path, edits), "utf-8")

    def _edited(self, path: str, edits: Sequence[Sequence[Any]]) -> str:
        text = self._texts[path]
        for start, end, new in sorted(edits, key=lambda edit: (edit[0], edit[1]), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _load(self, path: str, text: str) -> bool:
        module = self._modules.get(path)
        name = str(Path(path).resolve())
        try:
            code = compile(text, name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        if module is None:
            return True
        space: dict[str, Any] = {
            key: module.__dict__[key]
            for key in ("__name__", "__file__", "__package__", "__spec__", "__loader__", "__path__")
            if key in module.__dict__
        }
        exec(code, space)  # noqa: S102 - running the project's code is what this program is for
        self._graft_module(module, space)
        return True

    def _graft_module(self, module: ModuleType, space: Mapping[str, Any]) -> None:
        for name, new in space.items():
            if name.startswith("__"):
                continue
            old = module.__dict__.get(name)
            if not graft(old, new):
                for other in self._readers(module):
                    if other.__dict__.get(name) is old:
                        other.__dict__[name] = new
                module.__dict__[name] = new

    def _readers(self, module: ModuleType) -> Iterator[ModuleType]:
        for other in self._modules.values():
            if other is not module:
                yield other


def graft(old: Any, new: Any) -> bool:
    """Whether the old object could be given the code of the new one."""
    if isinstance(old, staticmethod | classmethod) and type(old) is type(new):
        return graft(old.__func__, new.__func__)
    if isinstance(old, property) and isinstance(new, property):
        return all(
            mine is theirs or graft(mine, theirs)
            for mine, theirs in ((old.fget, new.fget), (old.fset, new.fset), (old.fdel, new.fdel))
        )
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        if old.__code__.co_freevars != new.__code__.co_freevars:
            return False
        old.__code__ = new.__code__
        old.__defaults__ = new.__defaults__
        old.__kwdefaults__ = new.__kwdefaults__
        for mine, theirs in zip(old.__closure__ or (), new.__closure__ or (), strict=False):
            if isinstance(mine.cell_contents, FunctionType):
                graft(mine.cell_contents, theirs.cell_contents)
        return True
    if isinstance(old, type) and isinstance(new, type):
        for name, value in list(vars(new).items()):
            if name in {"__dict__", "__weakref__", "__module__", "__qualname__"}:
                continue
            if not graft(vars(old).get(name), value):
                try:
                    setattr(old, name, value)
                except (AttributeError, TypeError):
                    continue
        return True
    if hasattr(old, "cache_clear") and hasattr(new, "__wrapped__"):
        old.cache_clear()
        return graft(old.__wrapped__, new.__wrapped__)
    return False


class Trial:
    """A pytest plugin that takes over when the tests are collected."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        self.results: list[list[int]] = []
        self.direct = False
        self._failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tries the changes instead of running the tests."""
        known = {item.nodeid: item for item in session.items}
        failing = [known[name] for name in self._asked["failing"] if name in known]
        passing = [known[name] for name in self._asked["passing"] if name in known]
        self.direct = all(map(_is_direct, [*failing, *passing]))
        if failing:
            Crowd(self._asked, self, failing, passing).try_all()
        return True

    @pytest.hookimpl
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Whether it failed, without the costly picture of the failure."""
        failed = call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception)
        self._failed |= failed
        when: Any = call.when
        return pytest.TestReport(item.nodeid, item.location, {}, "failed" if failed else "passed", None, when)

    def passes(self, item: pytest.Item) -> bool:
        """Whether the test passes now."""
        with stage.time_limit(float(self._asked["test_seconds"])):
            if self.direct:
                return _direct(item)
            self._failed = False
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            return not self._failed


def _is_direct(item: pytest.Item) -> bool:
    """Whether a test is a plain function that needs nothing of pytest but its parameters."""
    if type(item) is not pytest.Function or any(True for _ in item.iter_markers("skipif")):
        return False
    marks = {mark.name for mark in item.iter_markers()}
    if marks & {"skip", "xfail", "usefixtures", "asyncio"} or item.obj.__code__.co_flags & 0x80:
        return False
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if set(item.fixturenames) - set(parameters) or item.cls is not None:
        return False
    try:
        copy.deepcopy(parameters)
    except Exception:  # a parameter may refuse to be copied in any way
        return False
    return True


def _direct(item: Any) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    try:
        item.obj(**copy.deepcopy(parameters))
    except stage.TimeUp:
        raise
    except BaseException:  # code under test may raise anything
        return False
    return True


class Crowd:
    """The children that try changes, and what they tell."""

    def __init__(
        self,
        asked: Mapping[str, Any],
        trial: Trial,
        failing: Sequence[pytest.Item],
        passing: Sequence[pytest.Item],
    ) -> None:
        self._trial = trial
        self._failing, self._passing = failing, passing
        self._candidates = asked["candidates"]
        self._deadline = time.monotonic() + float(asked["seconds"])
        self._enough = int(asked["enough"])
        self._extra = float(asked["extra_seconds"])
        self._workers = int(asked["workers"]) if trial.direct else 1
        self._test_seconds = float(asked["test_seconds"])
        self._swap = Swap(list(asked["sizes"]))
        self._found = 0
        self._resigned: set[int] = set()
        self._values = _values_of_tests([*failing, *passing])

    def try_all(self) -> None:
        """In order, until the time is over or enough have passed."""
        waiting = list(range(len(self._candidates)))
        children: dict[int, tuple[int, list[int], bytes, float]] = {}
        chunk = _CHUNK if self._trial.direct else 1
        try:
            while (waiting or children) and time.monotonic() < self._deadline and self._found < self._enough:
                while waiting and len(children) < self._workers:
                    batch, waiting = waiting[:chunk], waiting[chunk:]
                    reader, process = self._fork(batch)
                    children[reader] = (process, batch, b"", time.monotonic())
                waiting = self._hear(children) + waiting
        finally:
            for reader, (process, _, _, _) in children.items():
                _end(process, reader)

    def _hear(self, children: dict[int, tuple[int, list[int], bytes, float]]) -> list[int]:
        """What is left of batches whose child is gone."""
        left: list[int] = []
        resigned = self._resigned
        tests = len(self._failing) + len(self._passing)
        patience = min(stage.wall_seconds(self._test_seconds), self._test_seconds * tests) + _GRACE_SECONDS
        ready = select.select(list(children), [], [], 0.2)[0]
        for reader in list(children):
            process, batch, buffer, last = children[reader]
            data = os.read(reader, 1 << 16) if reader in ready else b""
            if data:
                *whole, buffer = (buffer + data).split(b"\n")
                told = [json.loads(line) for line in whole]
                for result in told:
                    self._note(result)
                done = {result[0] for result in told}
                if any(result[3] == 2 for result in told):
                    # It ends itself after a change that did not end; the next one is not to blame.
                    resigned.add(reader)
                batch = [index for index in batch if index not in done]
                children[reader] = (process, batch, buffer, time.monotonic())
            elif reader in ready or time.monotonic() - last > patience:
                _end(process, reader)
                del children[reader]
                if batch and reader not in resigned:
                    # Whatever the first of them did, it ended the child.
                    self._note([batch[0], 0, 0, 2])
                    batch = batch[1:]
                left += batch
                resigned.discard(reader)
        return left

    def _note(self, result: list[int]) -> None:
        self._trial.results.append(result)
        if result[3] == 0:
            self._found += 1
            self._deadline = min(self._deadline, time.monotonic() + self._extra)

    def _fork(self, batch: Sequence[int]) -> tuple[int, int]:
        reader, writer = os.pipe()
        on_disk = not self._trial.direct
        if on_disk:
            path, edits = self._candidates[batch[0]]
            self._swap.write(path, edits)
        process = os.fork()
        if process == 0:
            try:
                os.close(reader)
                _quiet()
                for index in batch:
                    result = self._try(index)
                    os.write(writer, json.dumps([index, *result]).encode() + b"\n")
                    if result[2] == 2:
                        break
            finally:
                stage.quit_now()
        os.close(writer)
        return reader, process

    def _try(self, index: int) -> tuple[int, int, int]:
        """Failing tests that pass now, tests run, and 0 when all pass, 1 when not, 2 when the time was over,
        3 when it cannot be compiled or loaded."""
        path, edits = self._candidates[index]
        fixed = run = 0
        try:
            with stage.time_limit(self._test_seconds):
                if not self._swap.put(path, edits):
                    return 0, 0, 3
            for space, values in self._values:
                space.update(copy.deepcopy(values))
            for item in self._failing:
                run += 1
                fixed += self._trial.passes(item)
                if run - fixed >= _ENOUGH_FAILURES:
                    return fixed, run, 1
            if fixed < run:
                return fixed, run, 1
            for item in self._passing:
                run += 1
                if not self._trial.passes(item):
                    return fixed, run, 1
        except stage.TimeUp:
            return fixed, run, 2
        except BaseException:  # a changed module may raise anything when it is loaded
            return fixed, run, 3
        return fixed, run, 0


def _values_of_tests(items: Sequence[pytest.Item]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Name spaces of test modules, and copies of the lists and the like in them: code under test may change
    these, and the next change is to meet them as they were."""
    found = []
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        values = {}
        for name, value in vars(module).items():
            if isinstance(value, list | dict | set | tuple) and not name.startswith("__"):
                try:
                    values[name] = copy.deepcopy(value)
                except Exception:  # noqa: S112 - what cannot be copied stays as it is
                    continue
        found.append((vars(module), values))
    return found


def _quiet() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    stage.limit_memory()


def _end(process: int, reader: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(reader)


def main() -> None:
    """Answers the request."""
    # Changes may be odd; what the compiler thinks of them is of no use here.
    warnings.simplefilter("ignore")
    asked = stage.request()
    stage.Script.argv = tuple(asked["script_argv"])
    stage.enter(asked["sizes"])
    trial = Trial(asked)
    stage.main(asked["arguments"], [stage.Collecting(asked["scripts"]), trial])
    stage.answer({"results": trial.results})
