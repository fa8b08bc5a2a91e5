"""Runs a project's tests in the sandbox, and says what each of them did."""

from __future__ import annotations

import ast
import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from services.agents.code import inside, programs
from services.agents.code.project import Project
from services.agents.ports import Sandboxed
from services.sandbox.model import End, Limits, Outcome

_MAX_LOG = 200_000

_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_PYTEST = re.compile(r"(?:.*/)?(?:pytest|py\.test)")
# Flags of python that do not change what is run.
_HARMLESS = re.compile(r"-[BEIOPRsSuxv]+")


class TestEnd(enum.Enum):
    """How a test ended. ERROR: in its setup or teardown. CRASHED: it took its process along."""

    __test__ = False

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Frame:
    """A line of a traceback. locals: shown values by name. function is empty for a line that is no call."""

    path: str
    line: int
    function: str
    code: str
    locals: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An exception with its frames, outermost first. where: the test or file that it happened in."""

    where: str
    exception: str
    message: str
    frames: tuple[Frame, ...] = ()
    # The module that an import did not find.
    module: str = ""


@dataclass(frozen=True)
class TestOutcome:
    """What a test did. seconds: of processor time. lines: those that it ran, by path, when asked."""

    __test__ = False

    test_id: str
    end: TestEnd
    seconds: float = 0.0
    failure: Failure | None = None
    lines: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    output: str = ""

    @property
    def failed(self) -> bool:
        """Whether it tells of a fault."""
        return self.end not in {TestEnd.PASSED, TestEnd.SKIPPED}


@dataclass(frozen=True)
class Execution:
    """A run of a project's tests.

    reason: why nothing was run; empty when tests ran. errors: files that could not be collected. missing:
    tests that were found and did not run, for lack of time. log: what happened, without times. plugins: files
    of the project that pytest itself loaded, as conftest.py.
    """

    tests: tuple[TestOutcome, ...] = ()
    errors: tuple[Failure, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""
    log: str = ""
    seconds: float = 0.0
    plugins: tuple[str, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether the project's code was executed at all."""
        return not self.reason

    @property
    def failing(self) -> tuple[TestOutcome, ...]:
        """Tests that do not pass."""
        return tuple(test for test in self.tests if test.failed)

    @property
    def passing(self) -> tuple[TestOutcome, ...]:
        """Tests that pass."""
        return tuple(test for test in self.tests if test.end is TestEnd.PASSED)

    @property
    def skipped(self) -> tuple[TestOutcome, ...]:
        """Tests and files of tests that were not to run."""
        return tuple(test for test in self.tests if test.end is TestEnd.SKIPPED)

    @property
    def clean(self) -> bool:
        """Whether every test ran and passed, or was skipped by its own will; at least one passed."""
        return self.ran and not (self.errors or self.missing or self.failing) and bool(self.passing)

    @property
    def log_sha256(self) -> str:
        """SHA-256 of the log; empty when nothing was run."""
        return hashlib.sha256(self.log.encode("utf-8", "replace")).hexdigest() if self.ran else ""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        value = asdict(self)
        for test in value["tests"]:
            test["end"] = test["end"].value
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Execution:
        """The run that `to_json` wrote down."""
        return cls(
            tests=tuple(
                TestOutcome(
                    test_id=test["test_id"],
                    end=TestEnd(test["end"]),
                    seconds=test["seconds"],
                    failure=_failure(test["failure"]["where"], test["failure"]) if test["failure"] else None,
                    lines={path: tuple(lines) for path, lines in test["lines"].items()},
                    output=test["output"],
                )
                for test in value["tests"]
            ),
            errors=tuple(_failure(error["where"], error) for error in value["errors"]),
            missing=tuple(value["missing"]),
            reason=value["reason"],
            log=value["log"],
            seconds=value["seconds"],
            plugins=tuple(value.get("plugins", ())),
        )


@dataclass(frozen=True)
class Way:
    """How a project is run: arguments of pytest, and programs that are tests as they stand."""

    arguments: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    script_argv: tuple[str, ...] = ()
    reason: str = ""


def way(project: Project) -> Way:
    """How the project's tests are run, or the reason why they cannot be."""
    if project.command:
        return _commanded(project)
    python = [path for path in project.everything() if path.endswith(".py")]
    if not python:
        others = project.other_languages()
        if others:
            return Way(reason=f"Only Python can be run here; the files are {', '.join(others)}.")
        return Way(reason="There is no Python file to run.")
    tests = [path for path in project.tests if path.endswith(".py") and not _is_support(path)]
    if tests:
        scripts = tuple(path for path in tests if _is_script(project.tests[path]))
        return Way(tuple(tests), scripts)
    if project.tests:
        return Way(reason="Only tests in Python can be run here.")
    documented = [path for path in project.files if path.endswith(".py") and ">>>" in project.files[path]]
    if documented:
        return Way(("--doctest-modules", *documented))
    asserting = [
        path for path in project.files if path.endswith(".py") and _asserts_at_top(project.files[path])
    ]
    if asserting:
        return Way(tuple(asserting), tuple(asserting))
    return Way(reason="There are no tests: give some, or a command that runs the code.")


def run_request(project: Project, how: Way) -> dict[str, Any]:
    """What every program of `inside` needs to know of a project."""
    return {
        "arguments": list(how.arguments),
        "scripts": list(how.scripts),
        "script_argv": list(how.script_argv),
        "sizes": {
            path: text.count("\n") + 1 for path, text in project.everything().items() if path.endswith(".py")
        },
    }


async def execute(
    sandbox: Sandboxed,
    project: Project,
    *,
    seconds: float = 30.0,
    test_seconds: float = 2.0,
    trace: bool = True,
    hash_seed: int = 0,
) -> Execution:
    """Runs the tests.

    seconds: for all of them. test_seconds: of processor time for each. trace: also note the lines that each
    test runs. hash_seed: of the interpreter. Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there
    is no sandbox.
    """
    how = way(project)
    if how.reason:
        return Execution(reason=how.reason)
    request = {
        **run_request(project, how),
        "seconds": seconds,
        "test_seconds": test_seconds,
        "trace": trace,
    }
    limits = Limits(seconds=seconds + 5, cpu_seconds=2 * seconds + 10)
    job = programs.job(inside, "run_tests", project.everything(), request, limits, hash_seed=hash_seed)
    outcome = await sandbox.run(job)
    return _read(project, outcome)


def _read(project: Project, outcome: Outcome) -> Execution:
    # What a run left that did not come to its own end is not its last word, if it is its word at all.
    result = programs.result(outcome) if outcome.exit_code == 0 else None
    if result is None:
        return Execution(reason=_why_no_result(outcome), seconds=outcome.seconds)
    if rewritten := sorted({*result["rewritten"]} & {*project.tests}):
        return Execution(reason=f"The run wrote into its own tests: {rewritten[0]}.", seconds=outcome.seconds)
    tests = tuple(_outcome(test, result["lines"].get(test["id"])) for test in result["tests"])
    errors = tuple(_failure(error["where"], error) for error in result["errors"])
    ran = {test.test_id for test in tests}
    missing = tuple(test_id for test_id in result["collected"] if test_id not in ran)
    reason = ""
    if not tests:
        reason = _why_no_test(project, errors, result)
    log = _log(tests, errors, missing)
    plugins = tuple(result["plugins"])
    return Execution(tests, errors, missing, reason, log, outcome.seconds, plugins)


def _outcome(test: Mapping[str, Any], lines: Mapping[str, Sequence[int]] | None) -> TestOutcome:
    end = TestEnd(test["outcome"])
    failed = end not in {TestEnd.PASSED, TestEnd.SKIPPED}
    return TestOutcome(
        test_id=test["id"],
        end=end,
        seconds=test["seconds"],
        failure=_failure(test["id"], test) if failed else None,
        lines={path: tuple(found) for path, found in (lines or {}).items()},
        output=test["output"],
    )


def _failure(where: str, value: Mapping[str, Any]) -> Failure:
    return Failure(
        where=where,
        exception=value.get("exception", ""),
        message=value.get("message", ""),
        frames=tuple(Frame(**frame) for frame in value.get("frames", ())),
        module=value.get("module", ""),
    )


def _why_no_result(outcome: Outcome) -> str:
    if outcome.end is not End.EXITED:
        return f"The run was ended before its tests were through: {outcome.detail}."
    return f"The run of the tests broke off: {programs.why_no_result(outcome)}."


def _why_no_test(project: Project, errors: Sequence[Failure], result: Mapping[str, Any]) -> str:
    """Why no test ran; empty when the code was executed and failed before its first test."""
    own = {PurePosixPath(path).stem for path in project.everything()} | {
        part for path in project.everything() for part in PurePosixPath(path).parts[:-1]
    }
    for error in errors:
        if error.exception == "ModuleNotFoundError" and error.module.split(".")[0] not in own:
            return f"The module {error.module!r} is not among the files, and not installed here."
        if error.exception in {"SyntaxError", "IndentationError", "TabError"} and error.frames:
            frame = error.frames[-1]
            return f"{frame.path}, line {frame.line}: {error.exception}: {error.message}."
    if errors:
        return ""
    if result["detail"]:
        return f"The tests could not be run: {result['detail']}"
    return "No test was found in the files that were given."


def _log(tests: Iterable[TestOutcome], errors: Iterable[Failure], missing: Iterable[str]) -> str:
    lines: list[str] = []
    for error in errors:
        lines += [f"{error.where}: cannot be collected", *_told(error)]
    for test in tests:
        lines.append(f"{test.test_id}: {test.end.value}")
        if test.failure is not None:
            lines += _told(test.failure)
        if test.failed and test.output:
            lines += [f"    | {line}" for line in test.output.splitlines()]
    lines += [f"{test_id}: not reached" for test_id in missing]
    return "\n".join(lines)[:_MAX_LOG] + "\n"


def _told(failure: Failure) -> list[str]:
    told = [
        f"    {frame.path}:{frame.line} {frame.function or '-'}: {frame.code}" for frame in failure.frames
    ]
    what = ": ".join(part for part in (failure.exception, failure.message) if part)
    return [*told, *(f"    {line}" for line in what.splitlines())]


def _commanded(project: Project) -> Way:
    program, *rest = project.command
    if _PYTEST.fullmatch(program):
        return Way(tuple(rest))
    if not _PYTHON.fullmatch(program):
        return Way(reason=f"Commands that start python or pytest can be run here, not {program[:80]!r}.")
    while rest and _HARMLESS.fullmatch(rest[0]):
        rest.pop(0)
    if rest[:2] == ["-m", "pytest"]:
        return Way(tuple(rest[2:]))
    if rest[:2] == ["-m", "unittest"]:
        return _unittest(project, rest[2:])
    if rest[:1] == ["-m"] and len(rest) > 1:
        name = rest[1].replace(".", "/")
        path = next((p for p in (f"{name}.py", f"{name}/__main__.py") if p in project.everything()), None)
        if path is None:
            return Way(
                reason=f"The command starts the module {rest[1][:80]!r}, which is not among the files."
            )
        return Way((path,), (path,), tuple(rest))
    if rest and not rest[0].startswith("-"):
        path = str(PurePosixPath(rest[0]))
        if path not in project.everything():
            return Way(reason=f"The command starts {path[:80]!r}, which is not among the files.")
        return Way((path,), (path,), tuple(rest[1:]))
    return Way(reason="The command starts python without a program that is among the files.")


def _unittest(project: Project, rest: Sequence[str]) -> Way:
    """The files that `python -m unittest` was told to run, as pytest takes them."""
    named = [word for word in rest if not word.startswith("-") and word != "discover"]
    paths = []
    for name in named:
        dotted = name.removesuffix(".py").replace(".", "/")
        parts = dotted.split("/")
        for end in range(len(parts), 0, -1):
            path = "/".join(parts[:end]) + ".py"
            if path in project.everything():
                paths.append("::".join([path, *parts[end:]]))
                break
    return Way(tuple(paths) or tuple(path for path in project.tests if path.endswith(".py")))


def _is_support(path: str) -> bool:
    return PurePosixPath(path).name in {"conftest.py", "__init__.py"}


def _is_script(text: str) -> bool:
    """Whether a file of tests has none that pytest would find, and asserts something when it is run."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            return False
        if isinstance(node, ast.ClassDef) and (node.name.startswith("Test") or node.bases):
            return False
    return _asserts_at_top(text)


def _asserts_at_top(text: str) -> bool:
    """Whether running a file asserts something: by itself, or in a function that it calls."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [
        node
        for statement in tree.body
        if not isinstance(statement, definitions)
        for node in ast.walk(statement)
    ]
    asserted = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    return asserted and any(isinstance(node, ast.Assert | ast.Call) for node in top)
