"""Judges measurements and speed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meldrag.agents.v1 import results_pb2
from services.agents.code.project import Project
from services.agents.measuring import growth
from services.agents.measuring.charts import Chart, number
from services.agents.measuring.profile import MAX_SIZE, MAX_SIZES, Profile, Subject, profile
from services.agents.measuring.proposals import Change, judge
from services.agents.measuring.series import read_csv, read_json
from services.agents.measuring.study import Study, study
from services.agents.ports import JsonObject
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.signs import CODE_SIGNS, DATA_SIGNS
from services.chassis.errors import FailedPreconditionError, InvalidArgumentError

_STUDY, _PROFILE, _COMPARE = "study", "profile", "compare"
_NOTHING = "There is nothing to measure among the inputs: give measurements as csv or json, or code as files."
_NO_SANDBOX = "There is no sandbox on this machine, and code is not executed outside of one."
_TASK = (
    "Explain the measurements for the request below. Use only numbers that stand in the data, and say where "
    "you "
    "guess. Then propose at most 5 changes, what helps most first; none when none is needed. A proposal that "
    "changes code gives every changed file as a whole, under its path, and keeps what the measured function "
    "takes "
    "and gives: it is executed, and its results and times are compared. The request: "
)

Inputs = results_pb2.PerformanceInputs
Result = results_pb2.PerformanceResult


async def compose(work: Work[Inputs]) -> Result:
    """What the measurements tell, and what the code costs; with a model, its explanation and its proposals,
    each measured.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the path.
    """
    subject = _subject(work.inputs)
    result = Result(
        findings=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=_NOTHING
    )
    if work.inputs.csv or work.inputs.json:
        _add_study(result, await _studied(work))
        work.keep(result)
    measured = None
    if subject.files:
        measured = await _profiled(work, subject)
        _add_profile(result, measured)
        work.keep(result)
    if result.verdict == results_pb2.VERDICT_VERIFIED:
        await _advise(work, result, subject, measured)
    return result


def _subject(inputs: Inputs) -> Subject:
    if inputs.csv and inputs.json:
        raise _invalid("$.json", "measurements are given as csv or as json, not as both")
    sizes = tuple(sorted(set(inputs.sizes)))
    if len(sizes) > MAX_SIZES or (sizes and not 1 <= sizes[0] <= sizes[-1] <= MAX_SIZE):
        raise _invalid("$.sizes", f"at most {MAX_SIZES} sizes from 1 to {MAX_SIZE}")
    files = Project.of(results_pb2.CodeInputs(files=inputs.files)).everything()
    for name, where in (("entry", inputs.entry), ("generator", inputs.generator)):
        path, _, function = where.rpartition(":")
        if where and (path not in files or not function):
            raise _invalid(
                f"$.{name}", f"{where[:100]!r} is not of the form path.py:function with a path of the files"
            )
    return Subject(files, inputs.entry, inputs.generator, sizes)


async def _studied(work: Work[Inputs]) -> Study:
    inputs = work.inputs

    def made() -> Study:
        read, text = (read_csv, inputs.csv) if inputs.csv else (read_json, inputs.json)
        return study(read(text, inputs.time_column, inputs.group_column))

    async def action() -> JsonObject:
        # Seconds for the largest tables; the loop has other runs to serve.
        return (await asyncio.to_thread(made)).to_json()

    told = await work.tools.use(
        _STUDY,
        {"form": "csv" if inputs.csv else "json", "characters": len(inputs.csv or inputs.json)},
        action,
        lambda value: (
            f"{len(value['summaries'])} series, "
            f"{sum(claim['significant'] for claim in value['claims'])} certain statements"
        ),
    )
    return Study.from_json(told)


async def _profiled(work: Work[Inputs], subject: Subject) -> Profile:
    sandbox = work.sandbox
    if sandbox is None:
        return Profile(reason=_NO_SANDBOX)

    async def action() -> JsonObject:
        return (await profile(sandbox, subject)).to_json()

    try:
        told = await work.tools.use(
            _PROFILE,
            {"paths": sorted(subject.files), "entry": subject.entry, "sizes": list(subject.sizes)},
            action,
            lambda value: value["reason"] or f"{value['entry']['function']} at {len(value['times'])} sizes",
        )
    except FailedPreconditionError as error:
        return Profile(reason=error.message)
    return Profile.from_json(told)


async def _advise(work: Work[Inputs], result: Result, subject: Subject, measured: Profile | None) -> None:
    advice = await work.ask(
        results_pb2.PerformanceAdvice,
        _TASK + work.question,
        data={"measurements": tell(result), **subject.files},
    )
    if advice is None:
        return
    result.explanation = advice.explanation
    changes = [Change(p.title, {file.path: file.content for file in p.files}) for p in advice.proposals]
    judged = await _judged(work, subject, measured, changes)
    made = [_proposal(p, value) for p, value in zip(advice.proposals, judged, strict=True)]
    # What was shown to help comes first, by how much; the rest stays in the model's order.
    made.sort(key=lambda p: (p.verdict != results_pb2.VERDICT_VERIFIED, _ratio(p)))
    result.proposals.extend(made)


async def _judged(
    work: Work[Inputs], subject: Subject, measured: Profile | None, changes: list[Change]
) -> list[JsonObject]:
    sandbox = work.sandbox
    if sandbox is None or measured is None or measured.reason or not any(change.files for change in changes):
        reason = (measured.reason if measured else "") or "It is no change of code that was measured."
        return [{"verdict": "NOT_RUN", "reason": reason} for _ in changes]
    entry = measured.entry
    named = replace(subject, entry=f"{entry['path']}:{entry['function']}")
    size = measured.size

    async def action() -> JsonObject:
        return {"judgements": [value.to_json() for value in await judge(sandbox, named, size, changes)]}

    told = await work.tools.use(
        _COMPARE,
        {"proposals": [change.title for change in changes], "entry": named.entry, "size": size},
        action,
        lambda value: ", ".join(item["verdict"] for item in value["judgements"]),
    )
    judgements: list[JsonObject] = told["judgements"]
    return judgements


def _proposal(change: results_pb2.ProposedChange, value: JsonObject) -> results_pb2.Proposal:
    made = results_pb2.Proposal(
        change=change,
        verdict=f"VERDICT_{value['verdict']}",
        verdict_reason=value["reason"],
        size=value.get("size", 0),
    )
    for name, key in (
        ("seconds_before", "before"),
        ("seconds_after", "after"),
        ("corrected_p_value", "corrected"),
    ):
        if value.get(key) is not None:
            setattr(made, name, value[key])
    return made


def _ratio(proposal: results_pb2.Proposal) -> float:
    verified = proposal.verdict == results_pb2.VERDICT_VERIFIED
    return proposal.seconds_after / proposal.seconds_before if verified and proposal.seconds_before else 1.0


def _add_study(result: Result, made: Study) -> None:
    for summary in made.summaries:
        values = {
            "count": (float(summary.count), ""),
            "least": (summary.least, summary.unit),
            "mean": (summary.mean, summary.unit),
            "largest": (summary.largest, summary.unit),
            **{p.name(): (p.value, summary.unit) for p in summary.percentiles},
        }
        result.metrics.extend(
            results_pb2.Metric(name=f"{summary.series} {name}", value=value, unit=unit)
            for name, (value, unit) in values.items()
        )
    for claim in made.claims:
        observation = result.observations.add(
            kind=claim.kind,
            series=claim.series,
            statement=claim.statement,
            effect=claim.effect,
            unit=claim.unit,
            p_value=claim.p_value,
            corrected_p_value=claim.corrected,
            significant=claim.significant,
            assumption=claim.assumption,
            row=claim.row,
        )
        if claim.low is not None and claim.high is not None:
            observation.low, observation.high = claim.low, claim.high
    _draw(result, made.charts)
    result.left_out.extend(made.left_out)
    result.verdict, result.verdict_reason = results_pb2.VERDICT_VERIFIED, ""


def _add_profile(result: Result, made: Profile) -> None:
    if made.reason:
        # What the table told stands.
        result.verdict_reason = made.reason
        return
    entry = made.entry
    peaks = dict(made.peaks)
    function = results_pb2.MeasuredFunction(
        path=entry["path"],
        name=entry["function"],
        line=entry["line"],
        reason=entry["chosen"],
        inputs=entry["inputs"],
        profiled_size=made.size,
    )
    for (n, costs), seconds in zip(made.times, made.medians()[1], strict=True):
        cost = function.costs.add(size=n, seconds=seconds, repetitions=len(costs))
        if n in peaks:
            cost.peak_bytes = peaks[n]
    for target, fitted in (
        (function.time_growth, made.time_growth()),
        (function.memory_growth, made.memory_growth()),
    ):
        if fitted is not None:
            target.CopyFrom(_growth(fitted))
    result.function.CopyFrom(function)
    totals: dict[tuple[str, str], float] = {}
    for row in made.lines:
        key = (row["path"], row["function"])
        totals[key] = totals.get(key, 0.0) + row["seconds"]
    for row in made.lines:
        total = totals[row["path"], row["function"]]
        result.lines.add(
            path=row["path"],
            line=row["line"],
            code=row["code"],
            hits=row["hits"],
            seconds=row["seconds"],
            share=row["seconds"] / total if total else 0.0,
        )
    for row in made.functions:
        result.functions.add(
            path=row["path"],
            line=row["line"],
            name=row["function"],
            calls=row["calls"],
            own_seconds=row["own_seconds"],
            seconds=row["seconds"],
        )
    for row in made.kept:
        result.memory.add(path=row["path"], line=row["line"], code=row["code"], bytes=row["bytes"])
    result.left_out.extend([*made.notes, *([f"Larger sizes: {made.slow}"] if made.slow else [])])
    _draw(result, made.charts())
    result.verdict, result.verdict_reason = results_pb2.VERDICT_VERIFIED, ""


def _growth(fitted: growth.Growth) -> results_pb2.Growth:
    return results_pb2.Growth(
        growth_class=fitted.name,
        confidence=fitted.confidence,
        alternatives=[name for name, _ in fitted.alternatives],
        error=fitted.error,
        exponent=fitted.exponent,
        base=fitted.base,
        reason=fitted.reason,
    )


def _draw(result: Result, charts: tuple[Chart, ...] | list[Chart]) -> None:
    result.charts.extend(results_pb2.Chart(title=chart.title, svg=chart.svg) for chart in charts)


def tell(result: Result) -> str:
    """The outcome in plain words; empty when the documents answer and there was nothing to measure."""
    if result.verdict_reason == _NOTHING and result.findings:
        return ""
    if result.verdict == results_pb2.VERDICT_NOT_RUN:
        return f"Nothing was measured. {result.verdict_reason}"
    lines: list[str] = []
    values = {metric.name: metric for metric in result.metrics}
    for name in [name.removesuffix(" count") for name in values if name.endswith(" count")][:10]:
        shown = [
            f"{what} {number(values[f'{name} {what}'].value)}"
            for what in ("p50", "p90", "p95", "p99")
            if f"{name} {what}" in values
        ]
        unit = values[f"{name} mean"].unit
        lines.append(
            f"{name}: {values[f'{name} count'].value:.0f} values, {', '.join(shown)} {unit}".rstrip() + "."
        )
    certain = [o for o in result.observations if o.significant]
    lines += [f"- {o.statement} (p {_p(o.corrected_p_value)})." for o in certain[:12]]
    if len(certain) > 12:
        lines.append(f"- and {len(certain) - 12} more in the result")
    lines += [f"- {o.statement}." for o in result.observations if not o.significant][:5]
    if result.HasField("function"):
        lines += _told_function(result)
    if result.verdict_reason:
        lines.append(f"The code was not measured: {result.verdict_reason}")
    if result.explanation:
        lines.append(f"A model's explanation: {result.explanation}")
    lines += [_told_proposal(p) for p in result.proposals]
    return "\n".join(lines)


def _told_function(result: Result) -> list[str]:
    function = result.function
    lines = [f"{function.name} ({function.path}:{function.line}) was measured; {function.reason}."]
    if function.HasField("time_growth"):
        fitted = function.time_growth
        first, last = function.costs[0], function.costs[-1]
        spent = (
            f"{number(first.seconds)} s at n = {first.size} and {number(last.seconds)} s at n = "
            f"{last.size}, given "
            f"{function.inputs}"
        )
        if fitted.growth_class:
            others = f"; it may be {' or '.join(fitted.alternatives)}" if fitted.alternatives else ""
            lines.append(
                f"Its time grows like {fitted.growth_class} ({fitted.confidence:.0%} of the "
                f"resamples{others}): {spent}."
            )
        else:
            lines.append(f"How its time grows is not certain ({fitted.reason}): {spent}.")
    elif function.costs:
        lines.append(f"It takes {number(function.costs[0].seconds)} s.")
    if function.HasField("memory_growth") and function.memory_growth.growth_class:
        lines.append(f"The peak of its memory grows like {function.memory_growth.growth_class}.")
    lines += [
        f"- {line.path}:{line.line} takes {line.share:.0%} of the time of its function: {line.code}"
        for line in result.lines[:3]
    ]
    return lines


def _told_proposal(proposal: results_pb2.Proposal) -> str:
    name = results_pb2.Verdict.Name(proposal.verdict).removeprefix("VERDICT_")
    times = ""
    if proposal.HasField("seconds_before"):
        times = (
            f" {number(proposal.seconds_before)} s before, {number(proposal.seconds_after)} s after, at n = "
            f"{proposal.size}."
        )
    return f"- {name}: {proposal.change.title}.{times} {proposal.verdict_reason}".rstrip()


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _invalid(path: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the inputs do not fit the agent performance: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "performance", "path": path, "cause": cause},
    )


AGENT = AgentDefinition(
    agent_id="performance",
    display_name="Performance",
    purpose="Explains measurements: how fast something is, where time and memory go, what a trend means.",
    inputs=results_pb2.PerformanceInputs,
    result=results_pb2.PerformanceResult,
    examples=(
        "Why did the response times get worse since Tuesday?",
        "Where does this function spend its time?",
        "Find the anomalies in these latency measurements.",
        "Is the new version significantly faster than the old one?",
        "Our page takes eight seconds to load. What is the bottleneck?",
    ),
    compose=compose,
    tools=(_STUDY, _PROFILE, _COMPARE),
    tell=tell,
    material=CODE_SIGNS | DATA_SIGNS,
)
