"""Writes tests."""

from __future__ import annotations

from collections.abc import Mapping

from meldrag.agents.v1 import results_pb2
from services.agents.code.project import Project
from services.agents.code.testing.generation import Effort, Generation
from services.agents.code.testing.model import NOTE, Generated, Intended, Share
from services.agents.ports import JsonObject, Sandboxed
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.signs import CODE_SIGNS
from services.chassis.errors import FailedPreconditionError

_NO_FILES = "No code was given, so nothing was executed. The findings come from the documents alone."
_NO_SANDBOX = "Code cannot be executed safely here, so no test was written: there is no sandbox."
_NOTHING_KEPT = "No test passed in every repetition, so none was kept."
_MAX_EXPECTATIONS = 20
_TASK = """Name at most 20 cases that the functions of this code should meet by what they are for: their
names, documentation and the request. Cover the intent and the edges. Give the function's name, its arguments
and the expected result as Python expressions, or the exception that it should raise, and in one sentence why.
Say what the code should do, not what it does: a case that it does not meet is told as a disagreement."""


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.TestGeneratorResult:
    """Tests of the given code that passed in the sandbox each time, and what they are worth."""
    result = results_pb2.TestGeneratorResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=_NO_FILES
    )
    project = Project.of(work.inputs)
    if not project.files:
        return result
    if work.sandbox is None:
        result.verdict_reason = _NO_SANDBOX
        return result
    try:
        await _fill(work, work.sandbox, project, result)
    except FailedPreconditionError as error:
        if not result.files:
            result.verdict, result.verdict_reason = results_pb2.VERDICT_NOT_RUN, error.message
        else:
            result.notes.append(f"The mutation score was not measured: {error.message}")
    return result


async def _fill(
    work: Work[results_pb2.CodeInputs],
    sandbox: Sandboxed,
    project: Project,
    result: results_pb2.TestGeneratorResult,
) -> None:
    generation = Generation(sandbox, project, Effort())
    expected = await _expected(work, project) if project.python() else ()

    async def generate() -> JsonObject:
        return (await generation.generate(expected)).to_json()

    arguments: JsonObject = {"files": sorted(project.files), "tests": sorted(project.tests)}
    made = Generated.from_json(await work.tools.use("generate_tests", arguments, generate, _made))
    _put(made, result)
    if made.reason or not (made.files or made.given):
        return
    work.keep(result)

    async def score() -> JsonObject:
        return (await generation.score(made)).to_json()

    _put(
        Generated.from_json(await work.tools.use("run_mutants", {"mutants": made.mutants}, score, _scored)),
        result,
    )


async def _expected(work: Work[results_pb2.CodeInputs], project: Project) -> tuple[Intended, ...]:
    """What a model expects of the code; nothing where there is none."""
    data = {path: project.files[path] for path in project.python()}
    told = await work.ask(
        results_pb2.TestExpectations,
        f"{_TASK}\nThe request: {work.question}",
        data=data,
        fields=("expectations",),
        check=_check,
    )
    if told is None:
        return ()
    return tuple(
        Intended(e.function, tuple(e.arguments), e.expected, e.raises, e.why) for e in told.expectations
    )


def _check(told: results_pb2.TestExpectations) -> None:
    if len(told.expectations) > _MAX_EXPECTATIONS:
        raise ValueError(f"at most {_MAX_EXPECTATIONS} expectations")
    for number, case in enumerate(told.expectations):
        if not case.function:
            raise ValueError(f"expectations[{number}] names no function")
        if bool(case.expected) == bool(case.raises):
            raise ValueError(f"expectations[{number}] needs either `expected` or `raises`")


def _put(made: Generated, result: results_pb2.TestGeneratorResult) -> None:
    """Writes into the result what was made; what it says of the documents stays."""
    evidence = list(result.evidence)
    result.Clear()
    result.evidence.extend(evidence)
    result.notes.extend([NOTE, *made.notes] if made.files else made.notes)
    if made.before is not None:
        result.coverage_before.CopyFrom(_coverage(made.before))
    if made.reason:
        result.verdict, result.verdict_reason = results_pb2.VERDICT_NOT_RUN, made.reason
        return
    kept = bool(made.files or made.given)
    result.verdict = results_pb2.VERDICT_VERIFIED if kept else results_pb2.VERDICT_FAILED
    result.verdict_reason = "" if kept else _NOTHING_KEPT
    for path, content in sorted(made.files.items()):
        result.files.add(path=path, content=content)
    result.passed, result.dropped, result.repetitions = made.passed, made.dropped, made.repetitions
    if made.after is not None:
        result.coverage.CopyFrom(_coverage(made.after))
    score = made.mutation_score()
    if score is not None:
        result.mutation_score = score
    result.mutants, result.mutants_killed, result.mutants_left = made.mutants, made.killed, made.left
    for survivor in made.survivors:
        result.survivors.add(path=survivor.path, line=survivor.line, description=survivor.description)
    for disagreement in made.disagreements:
        case = disagreement.case
        result.disagreements.add(
            expectation=results_pb2.TestExpectation(
                function=case.function,
                arguments=case.arguments,
                expected=case.expected,
                raises=case.raises,
                why=case.why,
            ),
            observed=disagreement.observed,
        )


def _coverage(share: Share) -> results_pb2.Coverage:
    return results_pb2.Coverage(line=share.line, branch=share.branch)


def _made(result: Mapping[str, object]) -> str:
    made = Generated.from_json(result)
    if made.reason:
        return made.reason
    return f"{made.passed} cases kept, {made.dropped} left out, {len(made.disagreements)} disagreements"


def _scored(result: Mapping[str, object]) -> str:
    made = Generated.from_json(result)
    return f"{made.killed} of {made.mutants - made.left} mutants found"


def tell(result: results_pb2.TestGeneratorResult) -> str:
    """The result in plain words; empty where no files were given."""
    if result.verdict_reason == _NO_FILES:
        return ""
    if result.verdict != results_pb2.VERDICT_VERIFIED:
        return f"No tests were written. {result.verdict_reason}"
    files = ", ".join(file.path for file in result.files)
    parts = [
        f"{result.passed} test cases in {files}; each passed {result.repetitions} times in the sandbox."
        if result.files
        else "The given tests cover all that was found; nothing was added."
    ]
    if result.HasField("coverage"):
        now = result.coverage
        before = f" (before: {result.coverage_before.line:.0%})" if result.HasField("coverage_before") else ""
        parts.append(f"They run {now.line:.0%} of the lines{before} and {now.branch:.0%} of the branches.")
    if result.HasField("mutation_score"):
        run = result.mutants - result.mutants_left
        parts.append(f"Of {run} faults planted in the code they find {result.mutants_killed}.")
    if result.dropped:
        parts.append(f"{result.dropped} cases were left out because they failed or were not stable.")
    for disagreement in result.disagreements[:3]:
        case = disagreement.expectation
        wanted = f"raise {case.raises}" if case.raises else f"give {case.expected}"
        parts.append(
            f"Possible bug: {case.function}({', '.join(case.arguments)}) should {wanted} ({case.why}), "
            f"but: {disagreement.observed}"
        )
    return " ".join([*parts, *result.notes])


AGENT = AgentDefinition(
    agent_id="test_generator",
    display_name="Test generator",
    purpose="Writes tests for code: cases, edge cases, properties, coverage.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.TestGeneratorResult,
    examples=(
        "Write unit tests for this date parser.",
        "Which edge cases should the checkout tests cover?",
        "Generate pytest cases for the API client.",
        "Raise the coverage of this module to ninety per cent.",
        "Create property-based tests for the sorting function.",
    ),
    compose=compose,
    tools=("generate_tests", "run_mutants"),
    tell=tell,
    material=CODE_SIGNS,
)
