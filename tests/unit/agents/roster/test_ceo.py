"""The ceo: what stated numbers decide, beside what the documents say."""

from __future__ import annotations

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow.graph import validate
from services.chassis.errors import InvalidArgumentError
from tests.unit.agents.roster.reading import Answers, Desk, passage

OFFERS = passage(
    "Ada asks a price of 40 kEUR. Ada promises a delivery within ten weeks. There is a risk: Bob is late. "
    "Bob has a high quality. The harbour is deep."
)
SCORES = """supplier,price,quality
unit,kEUR,points
weight,2,1
direction,lower,higher
Ada,40,6
Bob,50,9
"""
QUESTION = "Which supplier should get the contract?"


async def test_the_given_numbers_decide_and_the_documents_stand_beside_them() -> None:
    desk = Desk("ceo", [OFFERS])
    result = await desk.work(QUESTION, csv=SCORES)
    assert result.decision == "Ada"
    assert "0.667" in result.decision_reason
    ada, bob = result.options
    assert (ada.option, bob.option) == ("Ada", "Bob")
    assert ada.score == pytest.approx(2 / 3)
    assert bob.score == pytest.approx(1 / 3)
    price = {cell.criterion: cell for cell in ada.criteria}["price"]
    assert (price.value, price.normalised) == (40, 1)
    assert [finding.statement for finding in price.evidence] == ["Ada asks a price of 40 kEUR."]
    assert all(finding.citations for finding in price.evidence)
    (flip,) = [flip for flip in result.flips if flip.criterion == "price"]
    assert (flip.option, flip.share, flip.flip_share) == ("Bob", pytest.approx(2 / 3), pytest.approx(0.5))
    assert [criterion.share for criterion in result.criteria] == pytest.approx([2 / 3, 1 / 3])
    assert not result.HasField("opinion")
    told = desk.told(result)
    assert told.startswith("Decision: Ada.")
    assert "Bob does as well once price counts 50% of all instead of 67%" in told


async def test_what_the_documents_say_is_never_made_a_number() -> None:
    result = await Desk("ceo", [OFFERS]).work(
        QUESTION,
        options=["Ada", "Bob"],
        criteria=[results_pb2.Criterion(name="price", weight=1)],
    )
    assert result.decision == ""
    assert not any(option.HasField("score") for option in result.options)
    assert not any(cell.HasField("value") for option in result.options for cell in option.criteria)
    assert result.options[0].criteria[0].evidence


async def test_a_table_in_the_message_decides_as_well() -> None:
    question = f"{QUESTION}\n\n| who | price |\n|---|---|\n| weight | 1 |\n| Ada | 40 |\n| Bob | 50 |\n"
    assert (await Desk("ceo", [OFFERS]).work(question)).decision == "Ada"
    listed = "Which one? Options: Ada, Bob. Criteria: price (weight 1)."
    result = await Desk("ceo", [OFFERS]).work(listed)
    assert [option.option for option in result.options] == ["Ada", "Bob"]
    assert [criterion.name for criterion in result.criteria] == ["price"]


async def test_a_missing_score_is_told_as_missing() -> None:
    desk = Desk("ceo")
    result = await desk.work(QUESTION, csv=SCORES.replace("50,9", ",9"))
    assert result.decision == ""
    bob = {option.option: option for option in result.options}["Bob"]
    assert not bob.HasField("score")
    assert (bob.score_low, bob.score_high) == pytest.approx((1 / 3, 1))
    assert not bob.criteria[0].HasField("value")
    assert "price is missing" in desk.told(result)


async def test_inputs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await Desk("ceo").work(QUESTION, csv="o,cost\nA,1\nA,2\n")
    assert caught.value.reason == "INPUTS_INVALID"


async def test_the_objective_becomes_a_plan_that_can_be_run() -> None:
    desk = Desk("ceo", route=lambda text: "executor" if "send" in text.lower() else "research")
    result = await desk.work("Compare the two offers and summarise the risks, then send the winner a letter.")
    validate(result.plan, Registry())
    assert [step.agent_id or "approval" for step in result.plan] == [
        *("research", "research", "approval", "executor")
    ]
    assert not result.plan_proposed
    assert "Plan:" in desk.told(result)


async def test_a_step_that_decides_gets_the_numbers() -> None:
    desk = Desk("ceo", route=lambda text: "ceo" if "decide" in text else "research")
    result = await desk.work("Find the terms, then decide who gets it.", csv=SCORES)
    (decides,) = [step for step in result.plan if step.agent_id == "ceo"]
    assert decides.inputs["csv"] == SCORES
    assert not result.plan[0].HasField("inputs")


ADVICE = results_pb2.CeoAdvice(
    strategy=[
        results_pb2.QuotedClaim(
            statement="Take the fast one.", quote="Ada promises a delivery within ten weeks."
        ),
        results_pb2.QuotedClaim(statement="Bob is the best.", quote="Bob is the best of all"),
    ],
    risks=[results_pb2.QuotedClaim(statement="Prices may rise.")],
    would_change=["A discount of Bob."],
    scores=[
        results_pb2.OptionScore(option="Bob", criterion="price", value=45),
        results_pb2.OptionScore(option="Ada", criterion="price", value=1),
        results_pb2.OptionScore(option="Cyd", criterion="price", value=1),
    ],
)


def plan(*steps: tuple[str, str, list[str]]) -> results_pb2.ProposedPlan:
    return results_pb2.ProposedPlan(
        steps=[
            results_pb2.ProposedStep(step_id=name, agent_id=agent, message="Do it", after=after, owner="Ann")
            for name, agent, after in steps
        ]
    )


async def test_a_models_opinion_is_kept_apart_and_its_false_quotes_are_dropped() -> None:
    desk = Desk("ceo", [OFFERS], model=Answers(ADVICE, plan(("ask", "research", []))))
    result = await desk.work(QUESTION, csv=SCORES.replace("50,9", ",9"))
    opinion = result.opinion
    assert [finding.statement for finding in opinion.strategy] == ["Take the fast one."]
    assert opinion.strategy[0].citations
    assert [(finding.statement, list(finding.citations)) for finding in opinion.risks] == [
        ("Prices may rise.", [])
    ]
    assert [(score.option, score.value) for score in opinion.proposed_scores] == [("Bob", 45)]
    # A false quote, a score that is given, and one of what there is not.
    assert opinion.dropped_count == 3
    # Nothing was counted with a proposed score.
    assert result.decision == ""
    assert result.plan_proposed
    assert [step.step_id for step in result.plan] == ["ask"]
    assert [(owner.step_id, owner.owner) for owner in opinion.owners] == [("ask", "Ann")]
    assert "Proposed, not given: price of Bob 45" in desk.told(result)


async def test_a_plan_that_cannot_run_is_mended_once() -> None:
    model = Answers(
        ADVICE,
        plan(("a", "research", ["b"]), ("b", "research", ["a"])),
        plan(("a", "research", []), ("b", "code_repair", ["a"])),
    )
    result = await Desk("ceo", [OFFERS], model=model).work(QUESTION, csv=SCORES)
    assert ["circle" in fault for fault in model.faults] == [True]
    assert [step.step_id for step in result.plan] == ["a", "approve_b", "b"]


async def test_a_plan_that_stays_wrong_leaves_the_one_without_a_model() -> None:
    model = Answers(ADVICE, plan(("a", "nobody", [])), plan(("a", "research", ["c"])))
    question = "Find the offers, then compare the offers."
    result = await Desk("ceo", [OFFERS], model=model).work(question, csv=SCORES)
    assert len(model.faults) == 2
    assert not result.plan_proposed
    assert [step.step_id for step in result.plan] == ["s1_research", "s2_research"]
    assert not result.opinion.owners
