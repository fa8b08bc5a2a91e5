"""Runs, suspects and proofs as the contract has them, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meldrag.agents.v1 import results_pb2
from services.agents.code import slices
from services.agents.code.execution import Execution, Failure, TestOutcome
from services.agents.code.localisation import Suspect, sources
from services.agents.code.project import Project

MAX_TESTS = 50
MAX_SUSPECTS = 20
_MAX_SLICE = 200
_MAX_SHOWN = 160


def tests(execution: Execution) -> list[results_pb2.CodeTest]:
    """What the tests did, those that fail first."""
    ordered = sorted(execution.tests, key=lambda test: not test.failed)
    errors = [_test(error.where, "error", error) for error in execution.errors]
    return [*errors, *(_outcome(test) for test in ordered)][:MAX_TESTS]


def _outcome(test: TestOutcome) -> results_pb2.CodeTest:
    told = _test(test.test_id, test.end.value, test.failure)
    told.output, told.seconds = test.output, round(test.seconds, 4)
    return told


def _test(name: str, outcome: str, failure: Failure | None) -> results_pb2.CodeTest:
    told = results_pb2.CodeTest(test_id=name, outcome=outcome)
    if failure is not None:
        told.exception, told.message = failure.exception, failure.message
        told.frames.extend(
            results_pb2.CodeFrame(
                path=frame.path,
                line=frame.line,
                function=frame.function,
                code=frame.code,
                variables=[
                    results_pb2.CodeVariable(name=name, value=value) for name, value in frame.locals.items()
                ],
            )
            for frame in failure.frames
        )
    return told


def failing(execution: Execution) -> list[str]:
    """Names of what fails."""
    return [*(error.where for error in execution.errors), *(test.test_id for test in execution.failing)]


def suspects(project: Project, ranked: Sequence[Suspect]) -> list[results_pb2.SuspiciousLine]:
    """The most suspicious lines."""
    return [
        results_pb2.SuspiciousLine(
            path=suspect.path,
            line=suspect.line,
            score=suspect.score,
            code=code(project.files, suspect.path, suspect.line),
            reasons=suspect.reasons,
        )
        for suspect in ranked[:MAX_SUSPECTS]
    ]


def sliced(project: Project, execution: Execution) -> list[results_pb2.CodeLine]:
    """Lines that the first failing test ran and that its failure depends on."""
    test = next((test for test in execution.failing if test.lines), None)
    if test is None:
        return []
    found = []
    for path, source in sources(project).items():
        ran = test.lines.get(path, ())
        frames = [frame.line for frame in (test.failure.frames if test.failure else ()) if frame.path == path]
        criterion = frames[-1:] or slices.results(source, ran)
        for line in sorted(slices.backward(source, ran, criterion)):
            found.append(results_pb2.CodeLine(path=path, line=line, code=code(project.files, path, line)))
    return found[:_MAX_SLICE]


def code(files: Mapping[str, str], path: str, line: int) -> str:
    """What stands in a line, without the blanks around it."""
    lines = files.get(path, "").split("\n")
    return lines[line - 1].strip()[:_MAX_SHOWN] if 0 < line <= len(lines) else ""


def symptom(execution: Execution) -> str:
    """The first failure in a sentence; empty when nothing fails."""
    if execution.errors:
        return f"{execution.errors[0].where} cannot be loaded: {_what(execution.errors[0])}."
    for test in execution.failing:
        if test.failure is not None:
            where = ""
            if test.failure.frames:
                frame = test.failure.frames[-1]
                values = ", ".join(f"{name} = {value}" for name, value in list(frame.locals.items())[:4])
                where = f" at {frame.path}, line {frame.line} (`{frame.code[:_MAX_SHOWN]}`)"
                where += f" with {values}" if values else ""
            return f"{test.test_id}: {_what(test.failure)}{where}."
    return ""


def _what(failure: Failure) -> str:
    said = failure.message.strip().split("\n")[0][:_MAX_SHOWN]
    kind = "" if failure.exception in {"", "TimeUp"} else failure.exception
    return ": ".join(part for part in (kind, said) if part) or "it fails"


def score(execution: Execution) -> str:
    """How many tests fail, in words."""
    bad = len(execution.failing) + len(execution.errors)
    good = len(execution.passing)
    said = (
        f"{bad} of {good + bad} tests fail" if bad else f"All {good} tests pass" if good else "No test passes"
    )
    skipped = f"; {len(execution.skipped)} were skipped" if execution.skipped else ""
    missing = f"; {len(execution.missing)} were not reached" if execution.missing else ""
    return f"{said}{skipped}{missing}."


def bullets(lines: Iterable[str]) -> str:
    """Lines as a list."""
    return "\n".join(f"- {line}" for line in lines)
