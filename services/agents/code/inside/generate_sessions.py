"""Sessions: a few calls, one after the other, and what was observed of each."""

from __future__ import annotations

import contextlib
import dis
import io
import itertools
import json
import os
import re
import select
import signal
import sys
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import generate_rendering as rendering

# Bounds of one session: lines of the project under trace, seconds of the processor, seconds on the clock.
MAX_LINES = 30_000
MAX_SECONDS = 0.5
_MAX_WAITING = 4.0
_MAX_OUTPUT = 400
_RAISE = dis.opmap["RAISE_VARARGS"]
_MAX_MESSAGE = 200
_MISUSE = (TypeError, AttributeError, NameError, RecursionError, MemoryError, NotImplementedError)


class OverrunError(BaseException):
    """A call took too long. No foreign `except Exception` shall catch it."""


@dataclass(frozen=True)
class Step:
    """One call. template: source with {self} and {args} or {0}; arguments: (keyword or "", expression).

    target: which callable. subject: name of the object that it is called on. bind: the name of its result.
    """

    target: str
    template: str
    arguments: tuple[tuple[str, str], ...] = ()
    subject: str = ""
    bind: str = ""
    statement: bool = False

    def code(self) -> str:
        """The source of the call."""
        return self.filled([expression for _, expression in self.arguments])

    def filled(self, expressions: Sequence[str]) -> str:
        """The source with other expressions for the arguments."""
        pairs = zip((keyword for keyword, _ in self.arguments), expressions, strict=True)
        shown = ", ".join(f"{keyword}={e}" if keyword and keyword != "*" else e for keyword, e in pairs)

        def put(match: re.Match[str]) -> str:
            word = match.group(1)
            return self.subject if word == "self" else shown if word == "args" else expressions[int(word)]

        return re.sub(r"\{(self|args|\d)\}", put, self.template)


@dataclass(frozen=True)
class Session:
    """Steps that are run in one namespace."""

    steps: tuple[Step, ...]

    def code(self) -> str:
        """The source of all steps, for people and as the session's identity."""
        return "\n".join(f"{step.bind} = {step.code()}" if step.bind else step.code() for step in self.steps)

    def to_json(self) -> list[list[Any]]:
        """As lists."""
        return [
            [s.target, s.template, [list(a) for a in s.arguments], s.subject, s.bind, s.statement]
            for s in self.steps
        ]

    @classmethod
    def from_json(cls, data: Sequence[Sequence[Any]]) -> Session:
        """From lists."""
        return cls(
            tuple(
                Step(target, template, tuple((k, e) for k, e in arguments), subject, bind, statement)
                for target, template, arguments, subject, bind, statement in data
            )
        )


@dataclass
class Observation:
    """What was observed of a session.

    steps: for each step that ran a plain object: {"pairs"} or {"raised", "message", "deliberate", "misuse"},
    with "after" (position of an argument: pairs) where the call changed one, and "out" where it printed.
    state: pairs of the objects of the session at its end. arcs: (file, line before, line) with how often.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    state: list[list[Any]] = field(default_factory=list)
    arcs: dict[tuple[str, int, int], int] = field(default_factory=dict)
    overrun: bool = False

    def usable(self) -> bool:
        """Whether it can become a test: ended in time, and raised nothing that tells of wrong types alone."""
        return not self.overrun and bool(self.steps) and not any(step.get("misuse") for step in self.steps)

    def outcome(self) -> str:
        """What a test would compare, as text."""
        return json.dumps([self.steps, self.state, self.overrun], sort_keys=True)


class Stage:
    """Where sessions run: the project's names and its files.

    names: what the expressions may name. files: real path of each project file, with its path in the project.
    """

    def __init__(
        self,
        names: Mapping[str, object],
        classes: Mapping[str, type],
        files: Mapping[str, str],
    ) -> None:
        self._names = dict(names)
        self._classes = classes
        self._files = files
        self._compiled: dict[str, types.CodeType] = {}

    def run(self, session: Session, *, traced: bool) -> Observation:
        """Runs a session and looks at it."""
        seen = Observation()
        space = dict(self._names)
        tracer = Tracer(self._files) if traced else None
        try:
            with _alarm(MAX_SECONDS * 4 if traced else MAX_SECONDS):
                for step in session.steps:
                    result = self._step(step, space, tracer)
                    seen.steps.append(result)
                    if "raised" in result and step.bind:
                        break
                subjects = dict.fromkeys(step.subject for step in session.steps if step.subject)
                for name in subjects:
                    if name in space:
                        seen.state.append([name, self._pairs(space[name])])
        except OverrunError:
            seen.overrun = True
        except RecursionError:
            seen.overrun = True
        if tracer is not None:
            seen.arcs = tracer.arcs
        return seen

    def _step(self, step: Step, space: dict[str, Any], tracer: Tracer | None) -> dict[str, Any]:
        try:
            names, before = self._arguments(step, space)
        except OverrunError:
            raise
        except BaseException as error:
            return {"raised": type(error).__name__, "message": "", "deliberate": False, "misuse": True}
        result: dict[str, Any] = {}
        printed = io.StringIO()
        value = None
        try:
            code = self._code(step.filled(names), "exec" if step.statement else "eval")
            with (
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(io.StringIO()),
                _traced(tracer),
            ):
                if step.statement:
                    exec(code, space)
                else:
                    value = eval(code, space)
                    if isinstance(value, Iterator):
                        value = iter(list(itertools.islice(value, rendering.TAKEN)))
            if step.bind:
                space[step.bind] = value
            result["pairs"] = [] if step.statement or step.bind else self._pairs(value)
            if callable(value) and not isinstance(value, type):
                result["callable"] = True
        except OverrunError:
            raise
        except BaseException as error:
            result.update(self._raised(error))
        after = {p: now for p, old in before.items() if (now := self._pairs(space[names[p]])) != old}
        if after and "raised" not in result:
            result["after"] = {str(position): now for position, now in after.items()}
        if printed.getvalue():
            result["out"] = printed.getvalue()[:_MAX_OUTPUT]
        return result

    def _arguments(self, step: Step, space: dict[str, Any]) -> tuple[list[str], dict[int, list[list[str]]]]:
        """Makes the arguments: their names in `space`, and by position what those are that may change."""
        names, before = [], {}
        for position, (_, expression) in enumerate(step.arguments):
            name = f"argument_{position}_"
            space[name] = eval(self._code(expression, "eval"), space)
            names.append(name)
            if _may_change(space[name]):
                before[position] = self._pairs(space[name])
        return names, before

    def _pairs(self, value: object) -> list[list[str]]:
        return [list(pair) for pair in rendering.pairs(value, self._classes)]

    def _code(self, source: str, mode: str) -> types.CodeType:
        code = self._compiled.get(source)
        if code is None:
            if len(self._compiled) > 20_000:
                self._compiled.clear()
            code = self._compiled[source] = compile(source, "<session>", mode)
        return code

    def _raised(self, error: BaseException) -> dict[str, Any]:
        kind = type(error)
        deliberate = False
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            code = trace.tb_frame.f_code
            ours = code.co_filename in self._files
            deliberate = ours and code.co_code[trace.tb_lasti] == _RAISE
        name = kind.__name__
        if kind.__module__ != "builtins" and self._classes.get(name) is not kind:
            name = f"{kind.__module__}.{kind.__qualname__}"
            if kind.__module__.split(".")[0] not in sys.stdlib_module_names:
                return {"raised": name, "message": "", "deliberate": False, "misuse": True}
        message = str(error)
        if not deliberate or " at 0x" in message or len(message) > _MAX_MESSAGE:
            message = ""
        bad = isinstance(error, RecursionError | MemoryError)
        misuse = bad or (isinstance(error, _MISUSE) and not deliberate)
        return {"raised": name, "message": message, "deliberate": deliberate, "misuse": misuse}


_FIXED = (int, float, str, bytes, bool, type(None), complex, tuple, frozenset)


def _may_change(value: object) -> bool:
    return not isinstance(value, _FIXED) and not callable(value) and not isinstance(value, Iterator)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupts what takes more of the processor's time, or sleeps; and again should it be caught."""

    def ring(_number: int, _frame: types.FrameType | None) -> None:
        raise OverrunError

    signal.signal(signal.SIGPROF, ring)
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
    signal.setitimer(signal.ITIMER_REAL, _MAX_WAITING, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class Tracer:
    """Notes which lines of the project follow which, and ends what runs too many of them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.arcs: dict[tuple[str, int, int], int] = {}
        self._files = files
        self._left = MAX_LINES
        self._before: dict[int, int] = {}

    def __call__(self, frame: types.FrameType, _event: str, _argument: object) -> Any:
        """The trace function of a new frame; None for frames of others."""
        path = self._files.get(frame.f_code.co_filename)
        if path is None:
            return None
        arcs = self.arcs
        before = -frame.f_code.co_firstlineno

        def local(inner: types.FrameType, kind: str, _argument: object) -> Any:
            nonlocal before
            if kind == "line":
                line = inner.f_lineno
                arc = (path, before, line)
                arcs[arc] = arcs.get(arc, 0) + 1
                before = line
                self._left -= 1
                if self._left < 0:
                    raise OverrunError
            elif kind == "return":
                arc = (path, before, -1)
                arcs[arc] = arcs.get(arc, 0) + 1
            return local

        return local


@contextlib.contextmanager
def _traced(tracer: Tracer | None) -> Iterator[None]:
    if tracer is None:
        yield
        return
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(None)


def snake(name: str) -> str:
    """The name of a variable for an object of that class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def in_child(work: Any, seconds: float) -> Any:
    """What `work()` gives, as JSON out of a fork; None when it did not end in time or died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8", errors="surrogatepass") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    return _read_from(child, reading, seconds)


def _read_from(child: int, reading: int, seconds: float) -> Any:
    end = time.monotonic() + seconds
    parts: list[bytes] = []
    try:
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                return None
            part = os.read(reading, 1 << 16)
            if not part:
                break
            parts.append(part)
    finally:
        os.close(reading)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
    try:
        return json.loads(b"".join(parts).decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
