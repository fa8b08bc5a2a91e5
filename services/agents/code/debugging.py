"""Finds the cause of failing tests: runs them, ranks lines, and tries what would confirm a cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from meldrag.agents.v1 import results_pb2
from services.agents.code import telling
from services.agents.code.execution import Execution, execute
from services.agents.code.localisation import Suspect, locate
from services.agents.code.patching.patch import Patch, unified_diff
from services.agents.code.patching.search import Trials, search
from services.agents.code.project import Project
from services.agents.ports import Ask, JsonObject, Sandboxed, Tools
from services.chassis.errors import FailedPreconditionError

RUN_TESTS = "run_tests"
TRY_CHANGES = "try_changes"
PROBE = "run_probe"

RUN_SECONDS = 20.0
_SEARCH_SECONDS = 14.0
_PROBE_PATH = "test_probe_of_cause.py"
_MAX_PROBE = 20_000
_SHOWN_CHANGES = 3


@dataclass(frozen=True)
class Diagnosis:
    """What was found out.

    execution: the run of the tests. suspects: ranked with all that is known. trials: changes that were tried.
    """

    execution: Execution
    suspects: tuple[Suspect, ...] = ()
    trials: Trials = field(default_factory=Trials)
    cause: str = ""
    experiments: tuple[results_pb2.CodeExperiment, ...] = ()


async def run_tests(project: Project, sandbox: Sandboxed | None, tools: Tools) -> Execution:
    """The tests, run as they are. A reason instead where they cannot be run."""
    if sandbox is None:
        return Execution(reason="There is no sandbox here, and code is never executed outside of one.")
    box = sandbox

    async def action() -> JsonObject:
        return fitted(await execute(box, project, seconds=RUN_SECONDS, test_seconds=1.0)).to_json()

    arguments: JsonObject = {
        "files": sorted(project.files),
        "tests": sorted(project.tests),
        "command": " ".join(project.command),
    }
    try:
        found = await tools.use(
            RUN_TESTS, arguments, action, lambda value: _summary(Execution.from_json(value))
        )
    except FailedPreconditionError as error:
        if error.reason != "TOOL_UNAVAILABLE":
            raise
        return Execution(reason=f"There is no sandbox here: {error.message}")
    return Execution.from_json(found)


def fitted(execution: Execution, limit: int = 900_000) -> Execution:
    """The run without what makes it too large for a record: first output, then lines of passing tests."""
    if _size(execution) <= limit:
        return execution
    short = replace(
        execution, tests=tuple(replace(test, output=test.output[:200]) for test in execution.tests)
    )
    kept = 2_000_000 // max(1, len(short.tests))
    while _size(short) > limit and kept > 1:
        kept //= 2
        short = replace(
            short,
            log=short.log[: 50 * kept],
            tests=tuple(
                replace(
                    test,
                    lines={path: lines[:kept] for path, lines in test.lines.items()},
                    failure=None
                    if test.failure is None
                    else replace(test.failure, frames=test.failure.frames[-4:]),
                )
                for test in short.tests
            ),
        )
    return short


def _size(execution: Execution) -> int:
    return len(json.dumps(execution.to_json()))


def _summary(execution: Execution) -> str:
    return telling.score(execution) if execution.ran else execution.reason


async def try_changes(
    project: Project, execution: Execution, sandbox: Sandboxed, tools: Tools, *, seconds: float
) -> Trials:
    """Changes of suspicious lines, tried on the tests."""

    async def action() -> JsonObject:
        return (await search(sandbox, project, execution, seconds=seconds)).to_json()

    def summary(value: JsonObject) -> str:
        trials = Trials.from_json(value)
        return f"{trials.tried} changes tried, {len(trials.plausible)} let all tests pass"

    lines = [f"{suspect.path}:{suspect.line}" for suspect in locate(project, execution)[:10]]
    return Trials.from_json(await tools.use(TRY_CHANGES, {"lines": lines}, action, summary))


async def diagnose(
    project: Project, question: str, sandbox: Sandboxed | None, tools: Tools, ask: Ask
) -> Diagnosis:
    """Runs the tests and, where some fail, looks for the cause.

    Raises what the tools raise: ResourceExhaustedError (BUDGET_EXHAUSTED) at a limit of the run.
    """
    execution = await run_tests(project, sandbox, tools)
    if sandbox is None or not execution.ran or not telling.failing(execution):
        return Diagnosis(execution, locate(project, execution))
    trials = Trials()
    if execution.failing:
        trials = await try_changes(project, execution, sandbox, tools, seconds=_SEARCH_SECONDS)
    suspects = locate(project, execution, trials.lines)
    found = Diagnosis(execution, suspects, trials)
    found = replace(found, cause=likely_cause(project, found), experiments=_changes(project, trials))
    hypothesis = await _hypothesis(project, question, found, ask)
    if hypothesis is None:
        return found
    experiment = await _tried(project, hypothesis, sandbox, tools)
    confirmed = experiment.verdict == results_pb2.VERDICT_VERIFIED
    cause = hypothesis.cause if confirmed else found.cause
    return replace(found, cause=cause, experiments=(experiment, *found.experiments))


def likely_cause(project: Project, found: Diagnosis) -> str:
    """What the runs say of the cause, without a model; empty when they say nothing."""
    if not found.suspects:
        return telling.symptom(found.execution)
    first = found.suspects[0]
    place = f"{first.path}, line {first.line} (`{telling.code(project.files, first.path, first.line)}`)"
    here = next((p for p in found.trials.plausible if (p.path, p.line) == (first.path, first.line)), None)
    symptom = telling.symptom(found.execution)
    if here is not None:
        return (
            f"The likely cause is {place}: with one small change there ({here.operator}) all tests pass. "
            f"{symptom}"
        )
    return f"The most suspicious line is {place}: {'; '.join(first.reasons)}. {symptom}"


def _changes(project: Project, trials: Trials) -> tuple[results_pb2.CodeExperiment, ...]:
    """The changes with which all tests passed, as experiments."""
    return tuple(
        results_pb2.CodeExperiment(
            description=f"Change {patch.path}, line {patch.line}: {patch.operator}.",
            verdict=results_pb2.VERDICT_VERIFIED,
            reason="All tests pass with this change; that shows where the fault is, not what is right.",
            diff=diff_of(project, patch),
        )
        for patch in trials.plausible[:_SHOWN_CHANGES]
    )


def diff_of(project: Project, patch: Patch) -> str:
    """The patch as a unified diff."""
    return unified_diff(project.files, {patch.path: patch.apply(project.files[patch.path])})


async def _hypothesis(
    project: Project, question: str, found: Diagnosis, ask: Ask
) -> results_pb2.CodeHypothesis | None:
    """What a model thinks; None without one."""

    def check(hypothesis: results_pb2.CodeHypothesis) -> None:
        if not hypothesis.cause.strip():
            raise ValueError("the cause is empty")
        if hypothesis.path not in project.files:
            raise ValueError(f"path is none of {', '.join(sorted(project.files))}")
        if "def test" not in hypothesis.probe or len(hypothesis.probe) > _MAX_PROBE:
            raise ValueError("probe is no short module of pytest with a function that is a test")

    ranked = "\n".join(
        f"{s.path}:{s.line} {s.score:.2f} {telling.code(project.files, s.path, s.line)}"
        for s in found.suspects[:8]
    )
    return await ask(
        results_pb2.CodeHypothesis,
        f"{question}\n\nThe tests fail. Say why, name the faulty line, and write a probe: a module of pytest "
        "with one test that passes exactly if your cause is right. It must call the code as it is now.",
        data={
            **{f"file {path}": numbered(text) for path, text in project.files.items()},
            **{f"tests {path}": text for path, text in project.tests.items()},
            "what the tests did": found.execution.log,
            "suspicious lines": ranked,
        },
        check=check,
    )


def numbered(text: str) -> str:
    """The text with the numbers of its lines."""
    return "\n".join(f"{number:4} {line}" for number, line in enumerate(text.split("\n"), 1))


async def _tried(
    project: Project, hypothesis: results_pb2.CodeHypothesis, sandbox: Sandboxed, tools: Tools
) -> results_pb2.CodeExperiment:
    """Runs the probe on the project as it is."""
    probing = Project(project.files, {_PROBE_PATH: hypothesis.probe})

    async def action() -> JsonObject:
        return fitted(await execute(sandbox, probing, seconds=10.0, test_seconds=1.5)).to_json()

    value = await tools.use(
        PROBE,
        {"cause": hypothesis.cause, "path": hypothesis.path, "line": hypothesis.line},
        action,
        lambda result: _summary(Execution.from_json(result)),
    )
    execution = Execution.from_json(value)
    verdict, reason = _judged(project, execution)
    return results_pb2.CodeExperiment(
        description=f"A probe of {hypothesis.path}, line {hypothesis.line}: {hypothesis.cause}",
        verdict=verdict,
        reason=reason,
    )


def _judged(project: Project, execution: Execution) -> tuple[results_pb2.Verdict, str]:
    if not execution.ran:
        return results_pb2.VERDICT_NOT_RUN, execution.reason
    touched: Mapping[str, Any] = {
        path: lines for test in execution.tests for path, lines in test.lines.items() if path in project.files
    }
    if execution.clean and not touched:
        return results_pb2.VERDICT_NOT_RUN, "The probe runs no line of the project, so it shows nothing."
    if execution.clean:
        return results_pb2.VERDICT_VERIFIED, "The probe passes, as the cause predicts."
    return results_pb2.VERDICT_FAILED, f"The probe fails. {telling.symptom(execution)}".strip()
