"""Mends a project: finds changes, and claims nothing that the tests did not prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from meldrag.agents.v1 import results_pb2
from services.agents.code import telling
from services.agents.code.debugging import fitted, run_tests, try_changes
from services.agents.code.execution import Execution
from services.agents.code.localisation import Suspect, locate
from services.agents.code.patching import syntax
from services.agents.code.patching.patch import unified_diff
from services.agents.code.patching.search import Trials
from services.agents.code.project import Project
from services.agents.code.proof import Proof, proposed_change, prove
from services.agents.ports import Ask, JsonObject, Sandboxed, Tools

VERIFY = "verify_change"

_SEARCH_SECONDS = 28.0
_PROOF_SECONDS = 10.0
# A repair without a model is to be over by then.
_WHOLE_SECONDS = 55.0
_LEAST_SECONDS = 5.0
# Changes out of the search that are put to the proof, and proposals of a model.
_MAX_PROOFS = 3
_MAX_PROPOSALS = 2
_MAX_TEXT = 400_000


@dataclass(frozen=True)
class Repair:
    """What came of it.

    changes: new contents of files; empty when nothing was proven. execution: the run that the verdict stands
    on. before: the run without a change. proposals: what was proposed and judged by itself.
    """

    verdict: results_pb2.Verdict
    reason: str
    before: Execution
    execution: Execution
    changes: Mapping[str, str]
    explanation: str = ""
    suspects: tuple[Suspect, ...] = ()
    trials: Trials = field(default_factory=Trials)
    proposals: tuple[results_pb2.CodeExperiment, ...] = ()


async def repair(
    project: Project, question: str, sandbox: Sandboxed | None, tools: Tools, ask: Ask
) -> Repair:
    """Judges the change that the question proposes, else a model's, else looks for one.

    Raises what the tools raise: ResourceExhaustedError (BUDGET_EXHAUSTED) at a limit of the run.
    """
    before = await run_tests(project, sandbox, tools)
    if sandbox is not None and not before.ran and before.errors:
        written = syntax.mended(project.files)
        if written is not None:
            return await _rewritten(project, before, written, question, sandbox=sandbox, tools=tools, ask=ask)
    nothing = Repair(results_pb2.VERDICT_NOT_RUN, before.reason, before, before, {})
    if sandbox is None or not before.ran:
        return nothing
    bench = _Bench(project, before, sandbox, tools)
    given = proposed_change(question, project.files)
    if given is not None:
        proof = await bench.judge(given, "the change that the request gives")
        verdict = _verdict(proof)
        return replace(
            nothing,
            verdict=verdict,
            reason=proof.reason
            if proof.holds
            else f"The change that the request gives does not do it: {proof.reason}",
            execution=proof.execution,
            changes=given if proof.holds else {},
            explanation="The change that the request gives.",
            proposals=tuple(bench.judged),
        )
    if not telling.failing(before):
        if before.clean:
            reason = "All tests pass as the code is; there is nothing that they show to mend."
        else:
            reason = f"The tests did not come to their end: {telling.score(before)}"
        return replace(nothing, reason=reason)
    suspects = locate(project, before)
    failed = replace(
        nothing, verdict=results_pb2.VERDICT_FAILED, reason=telling.score(before), suspects=suspects
    )
    asked = await _from_model(bench, question, suspects, ask)
    if asked is not None:
        changes, explanation, proof = asked
        return replace(
            failed,
            verdict=results_pb2.VERDICT_VERIFIED,
            reason=proof.reason,
            execution=proof.execution,
            changes=changes,
            explanation=explanation,
            proposals=tuple(bench.judged),
        )
    return await _from_search(bench, replace(failed, proposals=tuple(bench.judged)))


async def _rewritten(
    project: Project,
    before: Execution,
    written: Mapping[str, str],
    question: str,
    *,
    sandbox: Sandboxed,
    tools: Tools,
    ask: Ask,
) -> Repair:
    """The repair of a project whose files could not even be read, after the change with which they can."""
    readable = project.having(written)
    found = await repair(readable, question, sandbox, tools, ask)
    if found.verdict == results_pb2.VERDICT_VERIFIED:
        return replace(found, changes={**written, **found.changes})
    if not found.before.clean:
        return found
    # All that lacked was that the files could be read.
    bench = _Bench(project, before, sandbox, tools)
    proof = await bench.judge(written, "the change with which the files can be read")
    return replace(
        found,
        verdict=_verdict(proof),
        reason=proof.reason,
        execution=proof.execution,
        changes=written if proof.holds else {},
        explanation=f"{', '.join(sorted(written))} can be read again.",
        proposals=tuple(bench.judged),
    )


def _verdict(proof: Proof) -> results_pb2.Verdict:
    if proof.holds:
        return results_pb2.VERDICT_VERIFIED
    return results_pb2.VERDICT_FAILED if proof.ran else results_pb2.VERDICT_NOT_RUN


class _Bench:
    """Puts changes to the proof."""

    def __init__(self, project: Project, before: Execution, sandbox: Sandboxed, tools: Tools) -> None:
        self.project = project
        self.before = before
        self.sandbox = sandbox
        self.tools = tools
        self.judged: list[results_pb2.CodeExperiment] = []
        self.seconds = 0.0

    async def judge(self, changes: Mapping[str, str], what: str) -> Proof:
        """The proof of a change. Kept as a proposal that was judged."""

        async def action() -> JsonObject:
            proof = await prove(self.sandbox, self.project, changes, self.before, seconds=_PROOF_SECONDS)
            return replace(proof, execution=fitted(proof.execution)).to_json()

        diff = unified_diff(self.project.files, changes)
        value = await self.tools.use(
            VERIFY, {"change": what, "diff": diff}, action, lambda result: str(result["reason"])
        )
        proof = Proof.from_json(value)
        self.seconds += 2 * proof.execution.seconds
        self.judged.append(
            results_pb2.CodeExperiment(
                description=what, verdict=_verdict(proof), reason=proof.reason, diff=diff
            )
        )
        return proof


async def _from_search(bench: _Bench, failed: Repair) -> Repair:
    if not bench.before.failing:
        return replace(failed, reason=f"{failed.reason} {telling.symptom(bench.before)}")
    # Seconds as they are recorded, so that a replay decides the same.
    left = _WHOLE_SECONDS - _PROOF_SECONDS - bench.before.seconds
    trials = await try_changes(
        bench.project,
        bench.before,
        bench.sandbox,
        bench.tools,
        seconds=min(_SEARCH_SECONDS, max(left, _LEAST_SECONDS)),
    )
    suspects = locate(bench.project, bench.before, trials.lines)
    failed = replace(failed, trials=trials, suspects=suspects)
    for patch in trials.plausible[:_MAX_PROOFS]:
        used = bench.before.seconds + trials.seconds + bench.seconds
        if bench.judged and used > _WHOLE_SECONDS - _PROOF_SECONDS:
            break
        changes = {patch.path: patch.apply(bench.project.files[patch.path])}
        proof = await bench.judge(changes, f"{patch.path}, line {patch.line}: {patch.operator}")
        if proof.holds:
            return replace(
                failed,
                verdict=results_pb2.VERDICT_VERIFIED,
                reason=proof.reason,
                execution=proof.execution,
                changes=changes,
                explanation=f"{patch.path}, line {patch.line}: {patch.operator}.",
                proposals=tuple(bench.judged),
            )
    tried = f"{trials.tried} changes were tried, and none lets all tests pass."
    return replace(failed, reason=f"{telling.score(bench.before)} {tried}", proposals=tuple(bench.judged))


async def _from_model(
    bench: _Bench, question: str, suspects: Sequence[Suspect], ask: Ask
) -> tuple[dict[str, str], str, Proof] | None:
    """A model's change that holds; None without one."""
    project = bench.project
    files = project.files

    def check(proposal: results_pb2.CodeRepairResult) -> None:
        if not proposal.files:
            raise ValueError("files is empty")
        for file in proposal.files:
            if file.path not in files:
                raise ValueError(
                    f"{file.path!r} is none of {', '.join(sorted(files))}; tests stay as they are"
                )
            if len(file.content) > _MAX_TEXT:
                raise ValueError(f"{file.path!r} is too long")
        if all(files[file.path] == file.content for file in proposal.files):
            raise ValueError("nothing is changed")

    ranked = "\n".join(
        f"{s.path}:{s.line} {s.score:.2f} {telling.code(files, s.path, s.line)}" for s in suspects[:8]
    )
    told = bench.before.log
    for _ in range(_MAX_PROPOSALS):
        proposal = await ask(
            results_pb2.CodeRepairResult,
            f"{question}\n\nThe tests fail. Give each file that has to change as a whole, with the smallest "
            "change that mends the cause, and say in a sentence what it does. Tests stay as they are.",
            data={
                **{f"file {path}": text for path, text in files.items()},
                **{f"tests {path}": text for path, text in project.tests.items()},
                "what the tests did": told,
                "suspicious lines": ranked,
            },
            fields=("files", "explanation"),
            check=check,
        )
        if proposal is None:
            return None
        changes = {file.path: file.content for file in proposal.files if files[file.path] != file.content}
        proof = await bench.judge(changes, f"a model's change: {proposal.explanation[:200]}")
        if proof.holds:
            return changes, proposal.explanation, proof
        told = f"{bench.before.log}\nWith the change that you gave before:\n{proof.execution.log}"
    return None
