"""Weighs options against each other by what the documents say of them."""

from __future__ import annotations

import re

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work, on_wire
from services.chassis.errors import InvalidArgumentError

_RISK = re.compile(
    r"\b(risk|danger|threat|fail|loss|lose|penalt|breach|delay|shortage|unsafe|hazard|vulnerab|uncertain|downside"
    r"|drawback|liabilit|overrun|outage|warn)\w*",
    re.IGNORECASE,
)
_MAX_OPTIONS = 20
_MAX_RISKS = 3


async def compose(work: Work[results_pb2.CeoInputs]) -> results_pb2.CeoResult:
    """Each option with what the passages say of it. Nothing is decided here: quotes say what stands in the
    documents, not how much it counts.

    Raises InvalidArgumentError (INPUTS_INVALID) for more than 20 options.
    """
    if len(work.inputs.options) > _MAX_OPTIONS:
        raise InvalidArgumentError(
            f"{_MAX_OPTIONS} options can be weighed at once",
            reason="INPUTS_INVALID",
            metadata={"agent_id": "ceo", "path": "$.options", "cause": f"more than {_MAX_OPTIONS}"},
        )
    options = [
        results_pb2.OptionAssessment(option=option, evidence=await work.about(option))
        for option in work.inputs.options
    ]
    risky = [quote for quote in await work.evidence.all_fitting(work.question) if _RISK.search(quote.text)]
    return results_pb2.CeoResult(
        objective=work.question,
        options=options,
        risks=on_wire(await work.sources.cite(risky[:_MAX_RISKS])),
        evidence=work.cited_findings(),
    )


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
)
