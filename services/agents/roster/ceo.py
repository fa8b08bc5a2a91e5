"""Weighs options by stated numbers beside what the documents say of them, and plans who does what."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from google.protobuf import json_format

from meldrag.agents.v1 import results_pb2, workflow_pb2
from services.agents.answering import terms
from services.agents.deciding import claims, listed, planning, tables
from services.agents.deciding.matrix import Matrix, amount, state
from services.agents.deciding.weighing import Weighed, Weighing, weigh
from services.agents.model import Finding, Quote
from services.agents.roster.agent import AgentDefinition, Work, on_wire
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.chassis.errors import InvalidArgumentError

_RISK = re.compile(
    r"\b(risk|danger|threat|fail|loss|lose|penalt|breach|delay|shortage|unsafe|hazard|vulnerab|uncertain|downside"
    r"|drawback|liabilit|overrun|outage|warn)\w*",
    re.IGNORECASE,
)
_MAX_RISKS = 3
_PER_CELL = 2
_MAX_WOULD_CHANGE = 10
_MAX_STEP_INPUTS = 20_000
_ADVICE = (
    "Advise whoever decides on the request below: how to go about it, what could go wrong, which facts would "
    "change the decision. A claim that a passage carries quotes its words. Propose scores only for options "
    "and criteria that are in the matrix, have no score there, and of which a passage speaks. The request: "
)
_PLAN = (
    "Plan the request below as steps for the agents that are listed. A step needs the ids of the steps whose "
    "outcome it builds on; steps that do not need each other run at once. Approvals are added where they are "
    "needed. The request: "
)

Inputs = results_pb2.CeoInputs
Result = results_pb2.CeoResult


async def compose(work: Work[Inputs]) -> Result:
    """The options weighed by the numbers that were given, each with what the passages say of it, and the
    objective as a workflow; with a model, its opinion and its plan.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the path.
    """
    matrix = _stated(work)
    weighing = weigh(matrix)
    result = Result(
        objective=work.question,
        evidence=work.cited_findings(),
        decision=weighing.decision,
        decision_reason=weighing.reason,
        ties=weighing.ties,
        assumptions=weighing.assumptions,
    )
    _add_criteria(result, matrix, weighing)
    await _add_options(work, result, matrix, weighing)
    risky = [quote for quote in await work.evidence.all_fitting(work.question) if _RISK.search(quote.text)]
    result.risks.extend(on_wire(await work.sources.cite(risky[:_MAX_RISKS])))
    plan = await planning.plan(work.question, work.route, _agents())
    _add_plan(work, result, plan)
    work.keep(result)
    await _advise(work, result, matrix)
    return result


def _stated(work: Work[Inputs]) -> Matrix:
    """What was said: in the inputs, else in the message."""
    stated = state(work.inputs)
    if work.inputs.csv:
        tables.read_csv(work.inputs.csv, stated)
    if not stated.values:
        tables.read_pipes(work.question, stated)
    if not stated.options:
        listed.read_options(work.question, stated)
    if not stated.criteria:
        listed.read_criteria(work.question, stated)
    return stated.matrix()


def _add_criteria(result: Result, matrix: Matrix, weighing: Weighing) -> None:
    used = {item.criterion.name: item for item in weighing.used}
    for criterion in matrix.criteria:
        made = result.criteria.add(name=criterion.name, unit=criterion.unit)
        if item := used.get(criterion.name):
            made.share, made.worst, made.best = item.share, item.worst, item.best
            made.better = criterion.better.value if criterion.better else ""
    for flip in weighing.flips:
        result.flips.add(
            criterion=flip.criterion, share=flip.share, flip_share=flip.flip_share, option=flip.option
        )


async def _add_options(work: Work[Inputs], result: Result, matrix: Matrix, weighing: Weighing) -> None:
    quotes = {
        (item.option, criterion.name): _about_both(work, item.option, criterion.name)
        for item in weighing.options
        for criterion in matrix.criteria
    }
    held = await work.sources.cite([quote for found in quotes.values() for quote in found])
    cited = {finding.statement: finding for finding in held}
    for item in weighing.options:
        option = result.options.add(
            option=item.option, dominated_by=item.dominated_by, excluded=item.excluded
        )
        option.evidence.extend(await work.about(item.option))
        _add_sums(option, item)
        for criterion in matrix.criteria:
            made = option.criteria.add(criterion=criterion.name)
            if (value := matrix.values.get((item.option, criterion.name))) is not None:
                made.value = value
            if (normalised := item.normalised.get(criterion.name)) is not None:
                made.normalised = normalised
            found = quotes[item.option, criterion.name]
            made.evidence.extend(on_wire(_of(found, cited)))


def _of(quotes: Iterable[Quote], cited: Mapping[str, Finding]) -> list[Finding]:
    return [cited[quote.text] for quote in quotes if quote.text in cited]


def _add_sums(option: results_pb2.OptionAssessment, item: Weighed) -> None:
    if not item.counted:
        return
    option.score_low, option.score_high = item.low, item.high
    if item.complete:
        option.score = item.low


def _about_both(work: Work[Inputs], option: str, criterion: str) -> list[Quote]:
    """Sentences with all words of the option and one of the criterion."""
    wanted, of_criterion = set(terms.stems(option)), set(terms.stems(criterion))
    if not wanted:
        return []
    found = []
    for passage in work.evidence.passages:
        for quote in work.evidence.sentences_of(passage):
            stems = set(terms.stems(quote.text))
            if wanted <= stems and of_criterion & (stems - wanted):
                found.append(quote)
    return found[:_PER_CELL]


def _add_plan(work: Work[Inputs], result: Result, plan: planning.Plan) -> None:
    """Takes a plan whose graph can be run. A step that decides gets the numbers that were given."""
    del result.plan[:]
    result.plan.extend(plan.steps)
    if work.inputs.ByteSize() <= _MAX_STEP_INPUTS:
        given = json_format.MessageToDict(work.inputs, preserving_proto_field_name=True)
        for step in result.plan:
            if step.agent_id == AGENT.agent_id:
                step.inputs.update(given)
    if plan.steps:
        graph.validate(result.plan, _registry())
    result.plan_reason = plan.reason


@functools.cache
def _registry() -> Registry:
    return Registry()


def _agents() -> dict[str, bool]:
    """What a plan can name, and whether it takes files."""
    return {h.definition.agent_id: "files" in h.input_schema["properties"] for h in _registry()}


async def _advise(work: Work[Inputs], result: Result, matrix: Matrix) -> None:
    passages = {f"passage {n}": passage.text for n, passage in enumerate(work.evidence.passages, 1)}
    advice = await work.ask(
        results_pb2.CeoAdvice, _ADVICE + work.question, data={"matrix": tell(result), **passages}
    )
    if advice is None:
        return
    passages_shown = work.evidence.passages
    strategy, loose = await claims.verified(advice.strategy, passages_shown, work.sources)
    risks, loose_risks = await claims.verified(advice.risks, passages_shown, work.sources)
    scores = _fitting(advice.scores, matrix)
    result.opinion.CopyFrom(
        results_pb2.CeoOpinion(
            strategy=strategy,
            risks=risks,
            would_change=[text for text in advice.would_change if text.strip()][:_MAX_WOULD_CHANGE],
            proposed_scores=scores,
            dropped_count=loose + loose_risks + len(advice.scores) - len(scores),
        )
    )
    work.keep(result)
    await _plan_with_model(work, result)


def _fitting(proposed: Iterable[results_pb2.OptionScore], matrix: Matrix) -> list[results_pb2.OptionScore]:
    """Proposed scores of what there is and nobody gave, within the criterion's scale."""
    criteria = {criterion.name: criterion for criterion in matrix.criteria}
    fitting: dict[tuple[str, str], results_pb2.OptionScore] = {}
    for score in proposed:
        place, criterion = (score.option, score.criterion), criteria.get(score.criterion)
        if criterion is None or score.option not in matrix.options or place in matrix.values:
            continue
        if criterion.scale is None or criterion.scale[0] <= score.value <= criterion.scale[1]:
            fitting.setdefault(place, score)
    return list(fitting.values())


async def _plan_with_model(work: Work[Inputs], result: Result) -> None:
    listing = "\n".join(f"{h.definition.agent_id}: {h.definition.purpose}" for h in _registry())

    def check(proposed: results_pb2.ProposedPlan) -> None:
        try:
            graph.validate(planning.read(proposed, _agents()).steps, _registry())
        except InvalidArgumentError as error:
            raise ValueError(error.message) from error

    proposed = await work.ask(
        results_pb2.ProposedPlan,
        _PLAN + work.question,
        data={"agents": listing, "decision": tell(result)},
        check=check,
    )
    if proposed is None:
        return
    plan = planning.read(proposed, _agents())
    _add_plan(work, result, plan)
    result.plan_proposed = True
    for step_id, owner in plan.owners.items():
        result.opinion.owners.add(step_id=step_id, owner=owner)


def tell(result: Result) -> str:
    """The outcome in plain words; empty when nothing was to be weighed or planned."""
    lines = []
    if result.options:
        head = f"Decision: {result.decision}." if result.decision else "No decision."
        lines.append(f"{head} {result.decision_reason}")
        lines += [f"- {_option_in_words(option, result)}" for option in result.options]
        if result.flips:
            lines.append("What would change it:")
            lines += [
                f"- {flip.option} does as well once {flip.criterion} counts {flip.flip_share:.0%} of all "
                f"instead of {flip.share:.0%}."
                for flip in result.flips[:5]
            ]
        lines += result.assumptions
    if result.plan and (result.options or len(result.plan) > 1):
        lines.append(f"Plan: {result.plan_reason}")
        lines += [f"- {_step_in_words(step)}" for step in result.plan]
    if result.HasField("opinion"):
        opinion = result.opinion
        lines.append("A model's opinion, of which nothing was counted:")
        lines += [f"- {_cited(finding)}" for finding in [*opinion.strategy, *opinion.risks]]
        lines += [f"- It would change the decision: {text}" for text in opinion.would_change]
        lines += [
            f"- Proposed, not given: {score.criterion} of {score.option} {score.value:g}"
            for score in opinion.proposed_scores
        ]
    return "\n".join(lines)


def _option_in_words(option: results_pb2.OptionAssessment, result: Result) -> str:
    if option.excluded:
        return f"{option.option}: excluded, {'; '.join(option.excluded)}"
    units = {criterion.name: criterion.unit for criterion in result.criteria}
    known = [
        f"{cell.criterion} {amount(cell.value, units[cell.criterion])}"
        if cell.HasField("value")
        else f"{cell.criterion} is missing"
        for cell in option.criteria
    ]
    words = f"{option.option}: {', '.join(known)}" if known else option.option
    if option.HasField("score"):
        words += f"; {option.score:.3f}"
    elif option.HasField("score_low"):
        words += f"; between {option.score_low:.3f} and {option.score_high:.3f}"
    if option.dominated_by:
        words += f"; {', '.join(option.dominated_by)} is at least as good by each criterion"
    return words


def _step_in_words(step: workflow_pb2.WorkflowStep) -> str:
    who = "approval" if step.HasField("approval") else step.agent_id
    after = f" (after {', '.join(step.after)})" if step.after else ""
    return f"{step.step_id}, {who}: {step.title}{after}"


def _cited(finding: results_pb2.Finding) -> str:
    return " ".join([finding.statement, *(f"[{number}]" for number in finding.citations)])


AGENT = AgentDefinition(
    agent_id="ceo",
    display_name="CEO",
    purpose="Weighs options, names risks and sets priorities when something has to be decided.",
    inputs=results_pb2.CeoInputs,
    result=results_pb2.CeoResult,
    examples=(
        "Should we build the billing system ourselves or buy one?",
        "Which of the three suppliers should get the contract, and why?",
        "What are the biggest risks of entering the Polish market next year?",
        "Set priorities for the next quarter from these project reports.",
        "We can only fund two of these five projects. Which ones?",
    ),
    compose=compose,
    tell=tell,
    material=frozenset({"numbers", "rows", "list of items"}),
)
