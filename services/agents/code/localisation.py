"""Which lines are the likely cause of failing tests.

The base is the Ochiai coefficient over statements, which was the best of those compared in Abreu, Zoeteweij,
van Gemund: On the accuracy of spectrum-based fault localization (TAIC PART 2007). In a small program many
statements share one value; what decides among them is where an exception came up, what the failure depends
on, and what kind of statement it is. Where changes were tried, lines whose change lets a failing test pass
go first (after Papadakis and Le Traon: Metallaxis-FL, 2015).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.agents.code import slices
from services.agents.code.execution import Execution, TestEnd, TestOutcome
from services.agents.code.patching.source import Source
from services.agents.code.project import Project

Line = tuple[str, int]

# What is added to a coefficient of 0 to 1. Tuned on the train part of bench/corpus.
_SLICE = 0.10
_FRAME = 0.12
_LOOP = 0.10
_KIND = 0.25
_TRIVIAL = -0.12
_CONDITION = 0.04
_PLAIN_START = -0.06
# How much a change counts that lets failing tests pass.
_EVIDENCE = 1.2
# Of each statement where the lines that ran are not known.
_BLIND = 0.5


@dataclass(frozen=True)
class Suspect:
    """A line with its score, 0 to 1, and what speaks against it in words."""

    path: str
    line: int
    score: float
    reasons: tuple[str, ...] = ()


def ochiai(failed: int, passed: int, all_failed: int) -> float:
    """failed, passed: tests of each kind that ran the statement. all_failed: tests that fail at all."""
    return failed / math.sqrt(all_failed * (failed + passed)) if failed else 0.0


def locate(
    project: Project, execution: Execution, evidence: Mapping[Line, float] | None = None
) -> tuple[Suspect, ...]:
    """Statements of the project's files, most suspicious first; none when no test fails.

    evidence: by line, how far the best change of it went: the share of failing tests that passed with it.
    """
    broken = _broken_lines(project, execution)
    failing = [test for test in execution.failing if test.lines]
    blind = bool(execution.failing) and not failing
    found: list[tuple[float, Suspect]] = []
    for path, source in sources(project).items():
        bonus = _bonus(source, path, failing)
        for node in source.statements:
            line = node.lineno
            lines = range(line, (node.end_lineno or line) + 1) if not hasattr(node, "body") else (line,)
            failed = sum(_ran(test, path, lines) for test in failing)
            if not failed and not blind:
                continue
            passed = sum(_ran(test, path, lines) for test in execution.passing)
            base = _BLIND if blind else ochiai(failed, passed, len(failing))
            reasons = ["nothing is known of the lines that the failing tests ran"]
            if not blind:
                reasons = [f"run by {failed} of {len(failing)} failing and {passed} passing tests"]
            score = base + _kind(node)
            for extra, reason in bonus.get(line, ()):
                score += extra
                reasons.append(reason)
            share = (evidence or {}).get((path, line), 0.0)
            if share:
                score += _EVIDENCE * share
                reasons.append(f"a change of it lets {share:.0%} of the failing tests pass")
            found.append((score, Suspect(path, line, 0.0, tuple(reasons))))
    found.sort(key=lambda pair: (-pair[0], pair[1].path, pair[1].line))
    top = max((score for score, _ in found), default=1.0) or 1.0
    ranked = [
        Suspect(s.path, s.line, round(max(score, 0.01) / max(top, 1.0), 4), s.reasons) for score, s in found
    ]
    return (*broken, *(s for s in ranked if (s.path, s.line) not in {(b.path, b.line) for b in broken}))


def sources(project: Project) -> dict[str, Source]:
    """The files that are Python, without those that cannot be read."""
    found = {}
    for path in project.python():
        try:
            found[path] = Source(project.files[path])
        except (SyntaxError, ValueError, RecursionError):
            continue
    return found


def _ran(test: TestOutcome, path: str, lines: range | tuple[int, ...]) -> bool:
    ran = test.lines.get(path, ())
    return any(line in ran for line in lines)


def _broken_lines(project: Project, execution: Execution) -> list[Suspect]:
    """Lines at which a file could not even be loaded."""
    found = []
    for error in execution.errors:
        own = [frame for frame in error.frames if frame.path in project.files]
        if own:
            reason = f"{error.exception} when the file is loaded"
            found.append(Suspect(own[-1].path, own[-1].line, 1.0, (reason,)))
    return list(dict.fromkeys(found))


def _kind(node: ast.stmt) -> float:
    """What kind of statement it is: one that computes nothing is seldom the cause."""
    if isinstance(node, ast.If | ast.While):
        return _CONDITION
    if isinstance(node, ast.Return):
        plain = node.value is None or isinstance(node.value, ast.Name | ast.Constant)
        return _TRIVIAL if plain else 0.0
    if isinstance(node, ast.Continue | ast.Break | ast.Pass | ast.Assert):
        return _TRIVIAL
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.List | ast.Dict):
        return _PLAIN_START
    return 0.0


def _bonus(source: Source, path: str, failing: list[TestOutcome]) -> dict[int, list[tuple[float, str]]]:
    found: dict[int, list[tuple[float, str]]] = {}
    sliced: set[int] = set()
    for test in failing:
        ran = test.lines.get(path, ())
        frames = [frame for frame in (test.failure.frames if test.failure else ()) if frame.path == path]
        inner = frames[-1].line if frames else None
        criterion = [inner] if inner is not None else slices.results(source, ran)
        sliced |= slices.backward(source, ran, criterion).keys()
        node = source.by_line.get(inner) if inner is not None else None
        if node is None:
            if _other_kind(test):
                for line in slices.results(source, ran):
                    _add(found, line, _KIND, "the result is not even of the kind that is expected")
            continue
        if test.end is TestEnd.TIMEOUT:
            loop = node if isinstance(node, ast.While) else source.loop(node)
            if isinstance(loop, ast.While):
                for part in ast.walk(loop):
                    if isinstance(part, ast.stmt):
                        _add(found, part.lineno, _LOOP, "in the loop that does not end")
        else:
            _add(found, node.lineno, _FRAME, "where the error came up")
    for line in sliced:
        _add(found, line, _SLICE, "the failure depends on it")
    return found


def _other_kind(test: TestOutcome) -> bool:
    """Whether an assertion compared values of different types, such as a list with a number."""
    if test.failure is None or test.failure.exception != "AssertionError":
        return False
    found = re.match(r"(?:assert )?(.+?) [!=]= (.+)", test.failure.message.split("\n")[0])
    if found is None:
        return False
    try:
        got, expected = ast.literal_eval(found[1]), ast.literal_eval(found[2])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    numbers = (int, float, complex)
    return type(got) is not type(expected) and not (
        isinstance(got, numbers) and isinstance(expected, numbers)
    )


def _add(found: dict[int, list[tuple[float, str]]], line: int, extra: float, reason: str) -> None:
    known = found.setdefault(line, [])
    if all(reason != other for _, other in known):
        known.append((extra, reason))
