"""What several answers say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents.answering.extractive import Embed
from services.agents.melding.answers import Answer, Binder
from services.agents.melding.melding import Melder
from services.agents.ports import Embeddings, Likeness

PILOT = "The harbour of Elmsund is fourteen metres deep."
GUIDE = "The harbour is 12 m deep."
LIGHT = "Its light has burned since 1871."


class Model:
    """Answers with a judgement, if it passes the check; keeps what it was shown."""

    def __init__(self, judgement: results_pb2.MeldJudgement | None) -> None:
        self.judgement = judgement
        self.data: dict[str, str] = {}
        self.fault = ""

    async def __call__(self, kind: type[Any], task: str, **asked: Any) -> Any:
        self.data = asked["data"]
        if self.judgement is not None:
            try:
                asked["check"](self.judgement)
            except ValueError as error:
                self.fault = str(error)
                return None
        return self.judgement


NOBODY = Model(None)


def result(agent_id: str, text: str, *citations: tuple[int, str, str]) -> agents_pb2.RunResult:
    """What a run of an agent ended with. citations: number, document and quote."""
    return agents_pb2.RunResult(
        agent_id=agent_id,
        text=text,
        citations=[
            agents_pb2.Citation(
                number=number, document_id=document, title=document.title(), quote=quote, byte_end=len(quote)
            )
            for number, document, quote in citations
        ],
    )


def answers() -> tuple[list[Answer], Binder]:
    """Two that disagree on the depth and agree on nothing."""
    binder = Binder()
    return [
        binder.answer("look_up", result("research", f"{PILOT} [1]\n\n{LIGHT} [1]", (1, "pilot", PILOT))),
        binder.answer("decide", result("ceo", f"{GUIDE} [1]", (1, "guide", GUIDE))),
    ], binder


async def melded(given: Sequence[Answer], model: Model = NOBODY, embed: Any = None) -> results_pb2.MeldResult:
    """The result of melding."""
    return await Melder(embed, model).meld("How deep is the harbour?", given)


async def test_a_conflict_is_named_with_the_citations_of_both_documents() -> None:
    given, binder = answers()
    made = await melded(given)
    (conflict,) = made.conflicts
    assert conflict.kind == "number"
    assert [list(side.citations) for side in conflict.sides] == [[1], [2]]
    assert [list(side.step_ids) for side in conflict.sides] == [["look_up"], ["decide"]]
    assert [citation.document_id for citation in binder.citations()] == ["pilot", "guide"]
    assert "“fourteen metres” in “Pilot” [1]" in conflict.explanation
    assert f"“{PILOT}” [1]; “{GUIDE}” [2]" in made.answer
    assert [item.statement for item in made.singles] == [LIGHT]


async def test_what_two_say_is_an_agreement_with_the_citations_of_both() -> None:
    binder = Binder()
    same = "The depth of the harbour is 14 m."
    given = [
        binder.answer("a", result("research", "The harbour is 14 metres deep. [1]", (1, "pilot", PILOT))),
        binder.answer("b", result("ceo", f"{same} [4]", (4, "guide", same))),
    ]
    made = await melded(given)
    (agreement,) = made.agreements
    assert list(agreement.step_ids) == ["a", "b"]
    assert list(agreement.citations) == [1, 2]
    assert made.answer == "The harbour is 14 metres deep. [1][2]"
    assert not made.conflicts
    assert not made.singles


async def test_what_says_the_same_and_more_agrees_by_the_embeddings() -> None:
    def embed_by(likeness: Likeness) -> Embed:
        async def embed(texts: Sequence[str]) -> Embeddings:
            return Embeddings(np.ones((len(texts), 1), dtype=np.float32), likeness)

        return embed

    binder = Binder()
    short, long = "The bay is sheltered.", "The bay behind the long breakwater is sheltered from swell."
    given = [
        binder.answer("a", result("research", f"{short} [1]", (1, "x", short))),
        binder.answer("b", result("ceo", f"{long} [1]", (1, "y", long))),
    ]
    assert not (await melded(given)).agreements
    # A model by which any two texts have this cosine.
    assert not (await melded(given, embed=embed_by(Likeness(1.0, -0.5)))).agreements
    (agreement,) = (await melded(given, embed=embed_by(Likeness()))).agreements
    assert list(agreement.citations) == [1, 2]


async def test_one_document_does_not_contradict_itself() -> None:
    binder = Binder()
    given = [
        binder.answer("a", result("research", f"{PILOT} [1]", (1, "pilot", PILOT))),
        binder.answer("b", result("ceo", f"{GUIDE} [1]", (1, "pilot", GUIDE))),
    ]
    assert not (await melded(given)).conflicts


async def test_what_tools_found_conflicts_by_the_steps_that_say_it() -> None:
    binder = Binder()
    given = [
        binder.answer("a", result("performance", "The function has 3 loops.")),
        binder.answer("b", result("code_analyzer", "The function has 2 loops.")),
    ]
    (conflict,) = (await melded(given)).conflicts
    assert [list(side.agent_ids) for side in conflict.sides] == [["performance"], ["code_analyzer"]]
    assert not any(side.citations for side in conflict.sides)


async def test_three_that_differ_are_one_conflict() -> None:
    binder = Binder()
    given = [
        binder.answer(step, result("research", f"The fee is {fee} crowns. [1]", (1, step, f"fee {fee}")))
        for step, fee in (("a", 4), ("b", 5), ("c", 6))
    ]
    (conflict,) = (await melded(given)).conflicts
    assert [list(side.citations) for side in conflict.sides] == [[1], [2], [3]]


async def test_a_models_answer_stands_as_far_as_its_citations_carry_it() -> None:
    given, _ = answers()
    judgement = results_pb2.MeldJudgement(
        statements=[
            results_pb2.JudgedStatement(statement="The harbour of Elmsund is 14 m deep.", citations=[1]),
            results_pb2.JudgedStatement(statement="The harbour of Elmsund is 20 m deep.", citations=[1]),
            results_pb2.JudgedStatement(statement="Whales live in it."),
        ]
    )
    made = await melded(given, Model(judgement))
    assert made.answer.startswith("The harbour of Elmsund is 14 m deep. [1]\n\nThe sources contradict")
    assert made.dropped_statement_count == 2
    assert len(made.conflicts) == 1


async def test_a_conflict_that_a_model_names_needs_two_documents() -> None:
    given, _ = answers()
    shallow = results_pb2.Finding(statement="The harbour is 12 m deep.", citations=[2])
    deep = results_pb2.Finding(statement="The harbour of Elmsund is fourteen metres deep.", citations=[1])
    judgement = results_pb2.MeldJudgement(
        statements=[results_pb2.JudgedStatement(statement=GUIDE, citations=[2])],
        conflicts=[
            results_pb2.JudgedConflict(topic="the depth", sides=[deep, deep]),
            results_pb2.JudgedConflict(topic="the depth", sides=[shallow]),
            results_pb2.JudgedConflict(topic="the depth", sides=[deep, shallow]),
        ],
    )
    made = await melded(given, Model(judgement))
    assert made.dropped_conflict_count == 2
    # The third one is known already.
    assert [conflict.kind for conflict in made.conflicts] == ["number"]


async def test_a_model_is_told_of_citations_that_do_not_exist() -> None:
    given, _ = answers()
    judgement = results_pb2.MeldJudgement(
        statements=[results_pb2.JudgedStatement(statement=GUIDE, citations=[9])]
    )
    model = Model(judgement)
    made = await melded(given, model)
    assert model.fault == "there is no citation 9"
    assert made.answer.startswith("The sources contradict")
    assert "[2] Guide: The harbour is 12 m deep." in model.data["citations"]


async def test_nothing_melds_to_nothing() -> None:
    assert await melded([]) == results_pb2.MeldResult()
