"""Reviews code."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.code.project import Project
from services.agents.code.static import review
from services.agents.code.static.analysis import Analysis, analyse, outcome_in_words
from services.agents.ports import JsonObject
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.signs import CODE_SIGNS
from services.chassis.errors import FailedPreconditionError

_ANALYSE = "analyse"
_NO_FILES = "There is no code among the inputs: give it as files."
_NO_SANDBOX = "There is no sandbox on this machine, and code is not parsed outside of one."


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeAnalyzerResult:
    """What tools find in the files; with a model, its opinions in fields of their own.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the path.
    """
    files = Project.of(work.inputs).everything()
    analysis = await _analysis(work, files)
    result = _result(analysis)
    result.evidence.extend(work.cited_findings())
    if analysis.reason:
        return result
    work.keep(result)
    made = await work.ask(
        results_pb2.CodeAnalyzerResult,
        review.TASK + work.question,
        data=review.shown(files, analysis),
        fields=("opinions", "review"),
    )
    if made is not None:
        kept, dropped = review.anchored(made.opinions, files)
        result.opinions.extend(kept)
        result.dropped_opinion_count = dropped
        result.review = made.review
    return result


async def _analysis(work: Work[results_pb2.CodeInputs], files: dict[str, str]) -> Analysis:
    if not files:
        return Analysis(reason=_NO_FILES)
    sandbox = work.sandbox
    if sandbox is None:
        return Analysis(reason=_NO_SANDBOX)

    async def action() -> JsonObject:
        return (await analyse(sandbox, files)).to_json()

    try:
        told = await work.tools.use(
            _ANALYSE,
            {"paths": sorted(files)},
            action,
            lambda value: outcome_in_words(Analysis.from_json(value)),
        )
    except FailedPreconditionError as error:
        return Analysis(reason=error.message)
    return Analysis.from_json(told)


def _result(analysis: Analysis) -> results_pb2.CodeAnalyzerResult:
    result = results_pb2.CodeAnalyzerResult(
        findings=[
            results_pb2.CodeFinding(
                tool=f.tool,
                rule=f.rule,
                severity=f.severity,
                path=f.path,
                line=f.line,
                column=f.column,
                message=f.message,
                also=f.also,
            )
            for f in analysis.findings
        ],
        files=[_file(file) for file in analysis.files],
        calls=[results_pb2.CodeCall(**call) for call in analysis.calls],
        unresolved_calls=[results_pb2.CodeCall(**call) for call in analysis.unresolved],
        import_cycles=[results_pb2.ImportCycle(paths=paths) for paths in analysis.cycles],
        tools=[
            results_pb2.AnalysisTool(name=t["tool"], seconds=t["seconds"], failure=t["failed"])
            for t in analysis.tools
        ],
        left_out_count=analysis.left_out,
        skipped_paths=analysis.skipped,
        left_out=analysis.cut,
        verdict=results_pb2.VERDICT_NOT_RUN if analysis.reason else results_pb2.VERDICT_VERIFIED,
        verdict_reason=analysis.reason,
    )
    if not analysis.reason:
        result.metrics.extend(_metrics(analysis))
    return result


def _file(file: JsonObject) -> results_pb2.FileMetrics:
    written = file["lines"] - file["blank_lines"]
    made = results_pb2.FileMetrics(
        path=file["path"],
        language=file["language"],
        lines=file["lines"],
        code_lines=file["code_lines"],
        comment_share=min(1.0, file["comment_lines"] / written) if written > 0 else 0.0,
        functions=[results_pb2.FunctionMetrics(**function) for function in file["functions"]],
        parsed=file["parsed"],
    )
    if file["language"] == "Python" and file["parsed"]:
        made.maintainability = file["maintainability"]
        made.halstead_volume = file["halstead_volume"]
        made.halstead_difficulty = file["halstead_difficulty"]
    return made


def _metrics(analysis: Analysis) -> list[results_pb2.Metric]:
    functions = [function for file in analysis.files for function in file["functions"]]
    totals = {
        "files": len(analysis.files),
        "lines": sum(file["lines"] for file in analysis.files),
        "functions": len(functions),
        "largest complexity": max((f["complexity"] for f in functions), default=0),
        **{f"{severity} findings": analysis.count(severity) for severity in ("error", "warning", "info")},
    }
    return [results_pb2.Metric(name=name, value=value) for name, value in totals.items()]


def tell(result: results_pb2.CodeAnalyzerResult) -> str:
    """The outcome in plain words; empty when the documents answer and there was no code."""
    if result.verdict_reason == _NO_FILES and result.evidence:
        return ""
    if result.verdict == results_pb2.VERDICT_NOT_RUN:
        return f"Nothing was analysed. {result.verdict_reason}"
    counts = {m.name: int(m.value) for m in result.metrics}
    found = [
        f"{counts[f'{severity} findings']} {name}"
        for severity, name in (("error", "errors"), ("warning", "warnings"), ("info", "remarks"))
        if counts[f"{severity} findings"]
    ]
    lines = [
        f"{counts['files']} file(s) with {counts['lines']} lines and {counts['functions']} functions were "
        f"analysed: "
        f"{', '.join(found) or 'nothing was found'}."
    ]
    lines += [
        f"- {f.path}:{f.line} {f.message} ({f.tool} {f.rule}, {f.severity})" for f in result.findings[:10]
    ]
    if len(result.findings) > 10 or result.left_out_count:
        lines.append(f"- and {len(result.findings) - 10 + result.left_out_count} more in the result")
    every = [(f.complexity, file.path, f) for file in result.files for f in file.functions]
    if every:
        _, path, most = max(every, key=lambda item: item[0])
        lines.append(
            f"The most complex function is {most.name} ({path}:{most.line}): {most.complexity} paths "
            f"through it."
        )
    failed = [f"{tool.name} ({tool.failure})" for tool in result.tools if tool.failure]
    if failed:
        lines.append(f"These tools did not get through: {'; '.join(failed)}.")
    if result.skipped_paths:
        lines.append(f"No tool here knows the language of {', '.join(result.skipped_paths[:5])}.")
    lines += result.left_out
    if result.review or result.opinions:
        lines.append(f"A model's opinion, which nothing has checked: {result.review}".rstrip())
        lines += [f"- {o.path}:{o.line} {o.statement}" for o in result.opinions[:10]]
    return "\n".join(lines)


AGENT = AgentDefinition(
    agent_id="code_analyzer",
    display_name="Code analyzer",
    purpose="Reviews code that works: quality, structure, complexity, security, style.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeAnalyzerResult,
    examples=(
        "Review this module before I merge it.",
        "Are there security problems in this login handler?",
        "Which functions are too complex and should be split?",
        "Does this class follow our coding guidelines?",
        "Find dead code and unused imports in this package.",
    ),
    compose=compose,
    tools=(_ANALYSE,),
    tell=tell,
    material=CODE_SIGNS,
)
