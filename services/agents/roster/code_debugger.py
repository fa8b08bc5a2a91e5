"""Finds the cause of a failure."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.code import telling
from services.agents.code.debugging import PROBE, RUN_TESTS, TRY_CHANGES, Diagnosis, diagnose
from services.agents.code.project import Project
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.signs import CODE_SIGNS

_NO_CODE = "Nothing was executed: no files were given. The findings come from the documents alone."
_SHOWN = 5


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeDebuggerResult:
    """Runs the tests in the sandbox and looks for the cause of those that fail.

    Raises InvalidArgumentError (INPUTS_INVALID).
    """
    evidence = work.cited_findings()
    project = Project.of(work.inputs)
    if not project.everything():
        return results_pb2.CodeDebuggerResult(
            evidence=evidence, verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=_NO_CODE
        )
    found = await diagnose(project, work.question, work.sandbox, work.tools, work.ask)
    result = _result(project, found)
    result.evidence.extend(evidence)
    return result


def _result(project: Project, found: Diagnosis) -> results_pb2.CodeDebuggerResult:
    execution = found.execution
    failing = telling.failing(execution)
    verdict = results_pb2.VERDICT_NOT_RUN
    if execution.ran:
        passed = execution.clean
        verdict = results_pb2.VERDICT_VERIFIED if passed else results_pb2.VERDICT_FAILED
    return results_pb2.CodeDebuggerResult(
        failing_tests=failing,
        suspicious_lines=telling.suspects(project, found.suspects),
        cause=found.cause,
        verdict=verdict,
        verdict_reason=telling.score(execution) if execution.ran else execution.reason,
        tests=telling.tests(execution),
        slice=telling.sliced(project, execution),
        experiments=found.experiments,
        log_sha256=execution.log_sha256,
        tests_run=len(execution.tests),
        tests_passed=len(execution.passing),
        candidates_tried=found.trials.tried,
        seconds=round(execution.seconds + found.trials.seconds, 3),
    )


def tell(result: results_pb2.CodeDebuggerResult) -> str:
    """The outcome in words; empty where no files were given."""
    if result.verdict_reason == _NO_CODE:
        return ""
    if result.verdict == results_pb2.VERDICT_NOT_RUN:
        return f"The code was not run. {result.verdict_reason}"
    parts = [result.verdict_reason]
    if result.cause:
        parts.append(result.cause)
    if result.suspicious_lines:
        lines = [
            f"{line.path}, line {line.line} ({line.score:.2f}): `{line.code}`"
            for line in result.suspicious_lines[:_SHOWN]
        ]
        parts.append(f"Lines to look at, most suspicious first:\n\n{telling.bullets(lines)}")
    shown = next(
        (e for e in result.experiments if e.diff and e.verdict == results_pb2.VERDICT_VERIFIED), None
    )
    if shown is not None:
        parts.append(f"{shown.reason}\n\n```diff\n{shown.diff}```")
    return "\n\n".join(parts)


AGENT = AgentDefinition(
    agent_id="code_debugger",
    display_name="Code debugger",
    purpose="Finds out why code fails: errors, crashes, wrong results, failing tests.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeDebuggerResult,
    examples=(
        "Why does this raise a KeyError?",
        "The job crashes with a segmentation fault after an hour. What is the cause?",
        "This test fails only on Mondays. Find out why.",
        "What does this stack trace mean?",
        "The function returns None where I expect a list.",
    ),
    compose=compose,
    tools=(RUN_TESTS, TRY_CHANGES, PROBE),
    tell=tell,
    material=CODE_SIGNS,
)
