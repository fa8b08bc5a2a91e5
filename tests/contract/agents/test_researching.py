"""The research agent over a real channel: several searches, contradictions, a model's synthesis."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.chassis.errors import UnavailableError
from tests.contract.agents.conftest import DEFAULT, kinds, result_of, streamed
from tests.contract.agents.neighbours import Faults, SessionNeighbour, VectorNeighbour
from tests.contract.agents.test_journal import replayed
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]
PILOT = "The harbour of Brava is fourteen metres deep."
GUIDE = "The harbour of Brava is 12 m deep."
DEPTH = "How deep is the harbour of Brava?"
BOTH = "When was the lighthouse of Brava built? What does rye bread cost?"


def harbour(vector: VectorNeighbour) -> None:
    """Two documents that disagree."""
    vector.put(DEFAULT, "Pilot book", f"{PILOT} Its entrance is narrow.")
    vector.put(DEFAULT, "Harbour guide", f"{GUIDE} Yachts moor at the north quay.")


async def test_two_documents_that_disagree_are_named_with_both_citations(
    open_house: Open, vector: VectorNeighbour
) -> None:
    harbour(vector)
    house = await open_house()
    events = await house.run(DEPTH)
    ended = result_of(events)
    (conflict,) = ended.result.research.contradictions
    cited = {citation.number: citation for citation in ended.citations}
    sides = [[cited[number] for number in side.citations] for side in conflict.sides]
    assert sorted(citation.title for (citation,) in sides) == ["Harbour guide", "Pilot book"]
    assert {citation.quote for (citation,) in sides} == {PILOT, GUIDE}
    assert conflict.kind == "number"
    assert "The sources contradict each other on harbour Brava deep" in ended.text
    assert all(f"[{number}]" in ended.text for side in conflict.sides for number in side.citations)
    assert ended.text == streamed(events)
    assert "documents contradict each other" in ended.result.research.confidence_basis


async def test_a_further_search_finds_what_the_question_did_not(
    open_house: Open, vector: VectorNeighbour
) -> None:
    house = await open_house()
    events = await house.run(BOTH, top_k=1)
    ended = result_of(events)
    result = ended.result.research
    searched = [event.passages for event in events if event.HasField("passages")]
    assert [told.query for told in searched] == [query.query for query in result.queries]
    assert {query.origin for query in result.queries} >= {"question", "part"}
    assert sum(query.new_count for query in result.queries) == sum(len(told.passages) for told in searched)
    assert {source.title for source in result.sources} >= {"Lighthouse", "Bakery"}
    assert [finding.statement for finding in result.further] == ["Rye bread costs four crowns."]
    (number,) = result.further[0].citations
    assert f"Rye bread costs four crowns. [{number}]" in ended.text
    assert [c.title for c in ended.citations if c.number == number] == ["Bakery"]
    assert ended.usage.tool_calls == len(searched) - 1


async def test_a_search_that_fails_is_told_and_the_run_goes_on(
    open_house: Open, vector: VectorNeighbour
) -> None:
    class OnlyOnce(Faults):
        async def meet(self, method: str) -> None:
            await super().meet(method)
            if method == "Search" and self.calls.count("Search") > 1:
                raise UnavailableError("busy", reason="STORE_UNAVAILABLE")

    vector.faults = OnlyOnce()
    house = await open_house()
    result = result_of(await house.run(BOTH)).result.research
    assert result.queries[0].failure == ""
    assert all(query.failure for query in result.queries[1:])
    assert "The lighthouse of Brava was built in 1884." in [f.statement for f in result.findings]


async def test_searches_end_with_the_runs_means(open_house: Open, vector: VectorNeighbour) -> None:
    house = await open_house(meld_max_tool_calls=1)
    result = result_of(await house.run(BOTH)).result.research
    failures = [query.failure for query in result.queries]
    assert failures[:2] == ["", ""]
    assert all("limit of 1 tool calls" in failure for failure in failures[2:])
    assert len(vector.searches) == 2


async def test_a_models_synthesis_stands_as_far_as_its_quotes_carry_it(
    open_house: Open, vector: VectorNeighbour
) -> None:
    harbour(vector)
    synthesis = {
        "statements": [
            {"statement": "One source gives the harbour of Brava a depth of 14 m.", "citations": [1]},
            {"statement": "The harbour of Brava is 30 m deep.", "citations": [1]},
            {"statement": "The harbour of Brava is deep enough."},
        ],
        "conflicts": [],
    }
    synthesis["statements"][2]["citations"] = []

    def plain(body: dict[str, Any]) -> str:
        shown = str(body["messages"][-1]["content"])
        assert f"] Pilot book: {PILOT}" in shown
        assert f"] Harbour guide: {GUIDE}" in shown
        return json.dumps(synthesis)

    def written(body: dict[str, Any]) -> str:
        lines = str(body["messages"][-1]["content"]).splitlines()
        heading = next(line for line in lines if "Pilot book" in line)
        return f"The harbour of Brava is fourteen metres deep {heading.split()[0]}."

    with ModelServer(Answer(written), Answer(plain)) as server:
        house = await open_house(server.base_url)
        ended = result_of(await house.run(DEPTH))
    result = ended.result.research
    assert ended.answer_mode == agents_pb2.ANSWER_MODE_GENERATIVE
    assert [item.statement for item in result.synthesis] == [
        "One source gives the harbour of Brava a depth of 14 m."
    ]
    assert result.dropped_claim_count == 2
    assert len(result.contradictions) == 1
    assert "contradict each other" in ended.text


async def test_a_many_sided_question_is_taken_apart_by_a_model(
    open_house: Open, vector: VectorNeighbour
) -> None:
    plan = {"questions": ["What does rye bread cost?"]}
    bread = {
        "statements": [{"statement": "Rye bread costs four crowns.", "citations": [2]}],
        "conflicts": [],
    }
    with ModelServer(
        Answer("It was built in 1884 [1]."), Answer(json.dumps(plan)), Answer(json.dumps(bread))
    ) as server:
        house = await open_house(server.base_url)
        ended = result_of(await house.run(BOTH, top_k=1))
    result = ended.result.research
    assert ("What does rye bread cost?", "model") in [(q.query, q.origin) for q in result.queries]
    assert [item.statement for item in result.synthesis] == ["Rye bread costs four crowns."]
    assert ended.text.endswith("Rye bread costs four crowns. [2]")


async def test_research_is_replayed_with_nothing_but_its_record(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    harbour(vector)
    house = await open_house()
    events = await house.run(f"{DEPTH} What does rye bread cost?", top_k=2)
    asked = len(vector.searches)
    again, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome.difference
    assert kinds(again) == kinds(events)
    assert len(vector.searches) == asked
