"""Mends code."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.code import telling
from services.agents.code.debugging import RUN_TESTS, TRY_CHANGES
from services.agents.code.patching.patch import unified_diff
from services.agents.code.project import Project
from services.agents.code.repairing import VERIFY, Repair, repair
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.signs import CODE_SIGNS

_NO_CODE = "Nothing was executed: no files were given. The findings come from the documents alone."


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeRepairResult:
    """Looks for a change with which all tests pass, and proves it in the sandbox.

    Raises InvalidArgumentError (INPUTS_INVALID).
    """
    evidence = work.cited_findings()
    project = Project.of(work.inputs)
    if not project.everything():
        return results_pb2.CodeRepairResult(
            evidence=evidence, verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=_NO_CODE
        )
    result = _result(project, await repair(project, work.question, work.sandbox, work.tools, work.ask))
    result.evidence.extend(evidence)
    return result


def _result(project: Project, found: Repair) -> results_pb2.CodeRepairResult:
    return results_pb2.CodeRepairResult(
        diff=unified_diff(project.files, found.changes),
        files=[
            results_pb2.SourceFile(path=path, content=text) for path, text in sorted(found.changes.items())
        ],
        verdict=found.verdict,
        verdict_reason=found.reason,
        log_sha256=found.execution.log_sha256,
        tests=telling.tests(found.execution),
        failing_tests=telling.failing(found.before),
        suspicious_lines=telling.suspects(project, found.suspects),
        proposals=found.proposals,
        explanation=found.explanation,
        candidates_tried=found.trials.tried,
        seconds=round(found.before.seconds + found.trials.seconds, 3),
    )


def tell(result: results_pb2.CodeRepairResult) -> str:
    """The outcome in words; empty where no files were given."""
    if result.verdict_reason == _NO_CODE:
        return ""
    if result.verdict == results_pb2.VERDICT_NOT_RUN:
        return f"Nothing was repaired. {result.verdict_reason}"
    if result.verdict == results_pb2.VERDICT_VERIFIED:
        what = f" {result.explanation}" if result.explanation else ""
        return (
            f"Repaired, as far as the tests can tell. {result.verdict_reason}{what}\n\n"
            f"```diff\n{result.diff}```\n\nSHA-256 of the log of the tests: {result.log_sha256}"
        )
    parts = [f"Not repaired. {result.verdict_reason}"]
    if result.suspicious_lines:
        line = result.suspicious_lines[0]
        parts.append(f"The most suspicious line is {line.path}, line {line.line}: `{line.code}`")
    return "\n\n".join(parts)


AGENT = AgentDefinition(
    agent_id="code_repair",
    display_name="Code repair",
    purpose="Changes code so that a known fault is gone, and proves it by the tests.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeRepairResult,
    examples=(
        "Fix the off-by-one error in this loop.",
        "Patch the function so that the tests pass.",
        "Correct the null check in the parser.",
        "Repair this broken regular expression.",
        "Here is the bug and its cause; please write the fix.",
    ),
    compose=compose,
    tools=(RUN_TESTS, TRY_CHANGES, VERIFY),
    tell=tell,
    material=CODE_SIGNS,
)
