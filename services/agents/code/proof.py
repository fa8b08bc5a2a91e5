"""Proves that a change mends a project: the tests, as they are, in fresh sandboxes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.agents.code.execution import Execution, execute
from services.agents.code.oracle import tampering
from services.agents.code.project import Project
from services.agents.ports import Sandboxed

# A change that lets tests pass once may do so by chance, or by the order that a set happens to have.
_HASH_SEEDS = (0, 4242)
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


@dataclass(frozen=True)
class Proof:
    """What the tests say of a change.

    ran: they were executed. holds: some failed before, and with the change all passed, each time. execution:
    the run that the verdict stands on; the one before, where the change alters the tests.
    """

    ran: bool
    holds: bool
    reason: str
    execution: Execution

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "ran": self.ran,
            "holds": self.holds,
            "reason": self.reason,
            "execution": self.execution.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Proof:
        """What `to_json` wrote down."""
        return cls(value["ran"], value["holds"], value["reason"], Execution.from_json(value["execution"]))


async def prove(
    sandbox: Sandboxed,
    project: Project,
    changes: Mapping[str, str],
    before: Execution,
    *,
    seconds: float = 15.0,
) -> Proof:
    """Runs the tests on the changed project, each time in a new sandbox and with another hash seed.

    changes: new contents of files of the project; its tests stay as they are. before: the run without the
    change, which says what tests there are: each has to pass, but for those that were skipped then. Raises
    FailedPreconditionError (TOOL_UNAVAILABLE).
    """
    if verdict := tampering(project, changes, before):
        return Proof(before.ran, False, verdict, before)
    changed = project.having(changes)
    for seed in _HASH_SEEDS:
        execution = await execute(sandbox, changed, seconds=seconds, trace=False, hash_seed=seed)
        verdict = tampering(project, changes, execution) or _objection(execution, before)
        if verdict:
            return Proof(execution.ran, False, verdict, execution)
    count = len(execution.passing)
    if not (before.failing or before.errors):
        reason = (
            f"All {count} tests pass, but without the change none failed: they show nothing that it mends."
        )
        return Proof(True, False, reason, execution)
    return Proof(True, True, f"All {count} tests pass, in {len(_HASH_SEEDS)} runs.", execution)


def _objection(execution: Execution, before: Execution) -> str:
    """Why a run proves nothing; empty when it does."""
    if not execution.ran:
        return execution.reason
    if execution.errors:
        error = execution.errors[0]
        return f"{error.where} cannot be loaded: {error.exception}: {error.message[:200]}"
    if execution.failing:
        names = ", ".join(test.test_id for test in execution.failing[:3])
        return f"{len(execution.failing)} of {len(execution.tests)} tests fail: {names}"
    passed = {test.test_id for test in execution.passing}
    skipped = {test.test_id for test in before.skipped}
    expected = {test.test_id for test in (*before.tests, *execution.tests)} | {*before.missing}
    if lost := sorted(expected - skipped - passed):
        return f"{len(lost)} tests did not run: {', '.join(lost[:3])}"
    heard = {test_id.partition("::")[0] for test_id in passed}
    if silent := [error.where for error in before.errors if error.where.partition("::")[0] not in heard]:
        return f"No test of {silent[0]} passes, which could not be loaded before."
    return "" if execution.clean else "No test passed."


def proposed_change(text: str, files: Mapping[str, str]) -> dict[str, str] | None:
    """The files as a unified diff in the text would leave them; None when there is none that fits them.

    Its context has to stand where it says, or at one other place alone.
    """
    found: dict[str, str] = {}
    path, hunk = "", []  # type: str, list[str]
    start = 0
    for line in [*text.splitlines(), "+++ "]:
        header = _HUNK.match(line)
        if header is not None or line.startswith(("+++ ", "--- ")):
            if hunk and not _apply(found, files, path, start, hunk):
                return None
            hunk = []
        if header is not None:
            start = int(header[1])
        elif line.startswith("+++ "):
            path = re.sub(r"^[ab]/", "", line[4:].split("\t")[0].strip())
            start = 0
        elif start and line[:1] in {" ", "+", "-"}:
            hunk.append(line)
        elif start and not line and hunk:
            hunk.append(" ")
        elif line.startswith("```"):
            start = 0
    return found or None


def _apply(
    found: dict[str, str], files: Mapping[str, str], path: str, start: int, hunk: Sequence[str]
) -> bool:
    if path not in files:
        return False
    while hunk and hunk[-1] == " ":
        hunk = hunk[:-1]
    lines = found.get(path, files[path]).split("\n")
    old = [line[1:] for line in hunk if line[0] in " -"]
    new = [line[1:] for line in hunk if line[0] in " +"]
    places = [at for at in range(len(lines) - len(old) + 1) if lines[at : at + len(old)] == old]
    if start - 1 in places:
        places = [start - 1]
    if len(places) != 1 or not old:
        return False
    at = places[0]
    found[path] = "\n".join([*lines[:at], *new, *lines[at + len(old) :]])
    return True
