"""What the programs inside the sandbox share: modules of the project, tests as items, limits, frames."""

from __future__ import annotations

import asyncio
import contextlib
import doctest  # noqa: F401 - pytest imports it late, and what it needs; see `enter`
import importlib
import inspect
import io
import json
import linecache
import mmap
import os
import pkgutil
import reprlib
import resource
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

import _pytest
import pytest

from .endings import left_behind

REQUEST = ".meld/request.json"
RESULT = ".meld/result.json"

_MAX_MESSAGE = 4_000
_MAX_OUTPUT = 4_000
_MAX_VALUE = 200
_MAX_LOCALS = 25
_MAX_FRAMES = 24
_MAX_DEPTH = 20_000
_CHILD_MEMORY = 250 << 20
# A time limit that the code under test swallows comes again after this many seconds.
_AGAIN_SECONDS = 0.3


class TimeUp(BaseException):
    """The test used up its time. No `except Exception` of the code under test catches it."""


class EndedError(Exception):
    """Code under test wanted to end the whole run. Its cause is what it raised."""


@contextlib.contextmanager
def own_end() -> Iterator[None]:
    """What would end the run of all tests fails the one that it comes from."""
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception) as error:
        raise EndedError from error


def request() -> dict[str, Any]:
    """What the program outside asks for."""
    asked: dict[str, Any] = json.loads(Path(REQUEST).read_text("utf-8"))
    return asked


def answer(result: Mapping[str, Any]) -> None:
    """Hands the result to the program outside."""
    Path(RESULT).write_text(json.dumps(result), "utf-8")


def enter(files: Iterable[str]) -> None:
    """Makes the project's modules importable: its root, the folders of its tests, and source folders.

    A module of the project goes before one of the same name that pytest itself has imported. So pytest has
    to have all that it needs by now; it is loaded once, too, for all children.
    """
    for part in pkgutil.iter_modules(_pytest.__path__, "_pytest."):
        importlib.import_module(part.name)
    paths = [Path(path) for path in files]
    packages = {path.parent for path in paths if path.name == "__init__.py"}
    folders = {path.parent for path in paths if path.suffix == ".py" and path.parent not in packages}
    roots = {folder for folder in folders if not any(above in packages for above in folder.parents)}
    for folder in sorted({Path(), *roots, *(p.parent for p in packages if p.parent not in packages)}):
        place = str(folder.resolve())
        if place not in sys.path:
            sys.path.insert(0, place)
    for path in paths:
        if path.suffix == ".py" and path.stem in sys.modules and path.stem not in {"__init__", "conftest"}:
            del sys.modules[path.stem]


def wall_seconds(cpu_seconds: float) -> float:
    """What the clock may show for so much processor time: a test may sleep a little or share its machine."""
    return 2 * cpu_seconds + 0.5


@contextlib.contextmanager
def time_limit(cpu_seconds: float) -> Iterator[None]:
    """Raises TimeUp in the block after that much processor time, or after `wall_seconds` by the clock."""

    def fire(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp

    signal.signal(signal.SIGPROF, fire)
    signal.signal(signal.SIGALRM, fire)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds, _AGAIN_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds(cpu_seconds), _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class Script(pytest.File):
    """A program that has no tests: running it as it stands is the test."""

    argv: tuple[str, ...] = ()

    def collect(self) -> Iterator[pytest.Item]:
        """One item."""
        yield ScriptItem.from_parent(self, name="run")


class ScriptItem(pytest.Item):
    """Runs its file as a program."""

    def runtest(self) -> None:
        """Fails by an exception, by an exit status other than 0, or by an exit before it has asserted all."""
        argv = sys.argv
        sys.argv = [str(self.path), *Script.argv]
        try:
            if Script.argv[:1] == ("-m",):
                sys.argv = [str(self.path), *Script.argv[2:]]
                runpy.run_module(Script.argv[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(self.path), run_name="__main__")
        except SystemExit as exit_:
            if exit_.code not in (None, 0):
                raise AssertionError(f"the program ended with exit status {exit_.code!r}") from exit_
            if place := left_behind(exit_, Path.cwd()):
                raise AssertionError(f"the program ended before {place}, which asserts something") from exit_
        finally:
            sys.argv = argv


class Collecting:
    """Takes programs without tests as tests, and runs coroutines that are tests."""

    def __init__(self, scripts: Iterable[str]) -> None:
        self._scripts = {str(Path(path).resolve()) for path in scripts}

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """A script is not imported as a module of tests."""
        return Script.from_parent(parent, path=module_path) if str(module_path) in self._scripts else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """A test that is a coroutine gets an event loop."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True


def pytest_arguments(arguments: Iterable[str]) -> list[str]:
    """The arguments with those that keep a run the same on every machine."""
    fixed = ["-p", "no:cacheprovider", "-p", "no:terminalreporter", "-o", "addopts="]
    return [*fixed, "--rootdir", str(Path.cwd()), *arguments]


def main(arguments: Iterable[str], plugins: list[object]) -> None:
    """Runs pytest, silently."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(pytest_arguments(arguments), plugins=plugins)


class Places:
    """Project files by the absolute names that code objects carry."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {str(Path(path).resolve()): path for path in paths}

    def find(self, filename: str) -> str | None:
        """The relative path, None for a file that is not of the project."""
        found = self._paths.get(filename)
        if found is None and not filename.startswith("/"):
            found = self._paths.get(str(Path(filename).resolve()))
        return found


def frames(start: TracebackType | None, places: Places) -> list[dict[str, Any]]:
    """The project's frames of a traceback, outermost first, with their locals; of many, both ends."""
    found: list[tuple[str, FrameType, int]] = []
    depth = 0
    while start is not None and depth < _MAX_DEPTH:
        path = places.find(start.tb_frame.f_code.co_filename)
        if path is not None:
            found.append((path, start.tb_frame, start.tb_lineno))
        start, depth = start.tb_next, depth + 1
    if len(found) > _MAX_FRAMES:
        found = found[: _MAX_FRAMES // 3] + found[-(_MAX_FRAMES - _MAX_FRAMES // 3) :]
    return [
        {
            "path": path,
            "line": line,
            "function": frame.f_code.co_name,
            "code": linecache.getline(frame.f_code.co_filename, line).strip()[:_MAX_VALUE],
            "locals": _locals(frame),
        }
        for path, frame, line in found
    ]


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother, self.maxstring, self.maxlong = 4, _MAX_VALUE, 120, 60
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxdeque = 12


_REPR = _Repr()


def shown(value: object) -> str:
    """A value for people: bounded, and safe whatever its own __repr__ does, but for its time."""
    try:
        return _REPR.repr(value)[:_MAX_VALUE]
    except TimeUp:
        raise
    except BaseException as error:  # code under test may raise anything
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _locals(frame: FrameType) -> dict[str, str]:
    values: dict[str, str] = {}
    module = frame.f_code.co_name == "<module>"
    for name, value in list(frame.f_locals.items()):
        hidden = name.startswith(("__", "@py"))
        if hidden or (module and (inspect.ismodule(value) or inspect.isroutine(value))):
            continue
        if len(values) == _MAX_LOCALS:
            break
        values[name] = shown(value)
    return values


def failure(error: BaseException, places: Places) -> dict[str, Any]:
    """An exception, its message and its frames."""
    if isinstance(error, EndedError) and error.__cause__ is not None:
        error = error.__cause__
    try:
        message = str(error)
    except BaseException as inner:  # code under test may raise anything
        message = f"<its message raises {type(inner).__name__}>"
    trace = frames(error.__traceback__, places)
    if isinstance(error, SyntaxError) and error.filename:
        path = places.find(error.filename)
        if path is not None:
            code = (error.text or "").strip()[:_MAX_VALUE]
            trace.append(
                {"path": path, "line": error.lineno or 1, "function": "", "code": code, "locals": {}}
            )
            message = error.msg
    return {"exception": type(error).__name__, "message": message[:_MAX_MESSAGE], "frames": trace}


def bounded(text: str) -> str:
    """Both ends of a long text."""
    if len(text) <= _MAX_OUTPUT:
        return text
    half = _MAX_OUTPUT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"


def detail(error: BaseException) -> str:
    """The last lines of an error of this program itself."""
    return "".join(traceback.format_exception(error))[-_MAX_MESSAGE:]


class Lines:
    """Marks the project's lines that run, in memory that outlives a child process.

    After Abreu, Zoeteweij, van Gemund: On the accuracy of spectrum-based fault localization (2007) a line
    counts as executed or not, whatever the number of times.
    """

    def __init__(self, sizes: Mapping[str, int], places: Places) -> None:
        self._places = places
        self._bases: dict[str, int] = {}
        total = 0
        for path, size in sizes.items():
            self._bases[path] = total
            total += size + 2
        self._sizes = dict(sizes)
        self._seen = mmap.mmap(-1, max(total, 1))
        self._total = total
        self._known: dict[CodeType, Callable[..., Any] | None] = {}

    def clear(self) -> None:
        """No line has run."""
        self._seen[: self._total] = bytes(self._total)

    def read(self) -> dict[str, list[int]]:
        """Lines that ran, by path."""
        found: dict[str, list[int]] = {}
        for path, base in self._bases.items():
            marks = self._seen[base : base + self._sizes[path] + 2]
            lines = [index for index, mark in enumerate(marks) if mark]
            if lines:
                found[path] = lines
        return found

    def start(self) -> None:
        """From now on."""
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def stop(self) -> None:
        """Until now."""
        sys.settrace(None)
        threading.settrace(None)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        try:
            return self._known[code]
        except KeyError:
            path = self._places.find(code.co_filename)
            local = None if path not in self._bases else self._marker(self._bases[path])
            self._known[code] = local
            return local

    def _marker(self, base: int) -> Callable[..., Any]:
        seen = self._seen

        def mark(frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
            if event == "line":
                seen[base + frame.f_lineno] = 1
            return mark

        return mark


def address_space() -> int:
    """Bytes of address space that this process has now; a guess where /proc is not there."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 200 << 20


def limit_memory() -> None:
    """Code under test that wants too much gets a MemoryError before the whole run is ended for it."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _CHILD_MEMORY + address_space()
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def quit_now() -> None:
    """Ends a child without running what the code under test registered for the end."""
    os._exit(0)
