"""The ledger of a run: where it ends, what is left then, and how it travels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents.ports import JsonObject
from services.agents.roster.agent import Work
from services.chassis.errors import ServiceError, from_rpc_error
from tests.contract.agents.clerk import Clerk, registry
from tests.contract.agents.conftest import Client, Event, kinds, result_of
from tests.contract.agents.neighbours import VectorNeighbour
from tests.support.model_server import Answer, Calls, ModelServer

QUESTION = "When was the lighthouse of Brava built?"
EXTRACT = "The lighthouse of Brava was built in 1884. [1]"
TEXT = Answer("It was built in 1884 [1].", usage=(100, 10))
Open = Callable[..., Any]


async def measured() -> JsonObject:
    return {"metres": 14}


class Surveyor:
    """Measures four times; keeps what there is after each time when told to."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.keeps = keeps

    async def compose(self, work: Work[Any]) -> results_pb2.ResearchResult:
        result = results_pb2.ResearchResult()
        for number in range(4):
            made = await work.tools.use("measure", {"number": number}, measured, lambda _: "measured")
            result.gaps.append(f"{made['metres']} metres")
            if self.keeps:
                work.keep(result)
        return result


def reasons(result: agents_pb2.RunResult) -> list[str]:
    assert {item.component for item in result.degradations} <= {"budget"}
    return [item.reason for item in result.degradations]


async def test_a_run_that_meets_a_limit_ends_with_what_there_is(open_house: Open) -> None:
    house = await open_house(registry=registry(Surveyor().compose), meld_max_tool_calls=2)
    events = await house.run(QUESTION)
    result = result_of(events)
    assert list(result.result.research.gaps) == ["14 metres"] * 2
    assert reasons(result) == ["the run has reached its limit of 2 tool calls; this is what there is."]
    assert result.usage.tool_calls == 2
    assert kinds(events).count("tool_started") == 2


async def test_the_answer_stands_where_the_agent_kept_nothing(open_house: Open) -> None:
    house = await open_house(registry=registry(Surveyor(keeps=False).compose), meld_max_tool_calls=2)
    result = result_of(await house.run(QUESTION))
    assert result.text == EXTRACT
    assert len(reasons(result)) == 1
    assert result.result.WhichOneof("result") is None


async def test_a_run_that_has_nothing_fails(open_house: Open, vector: VectorNeighbour) -> None:
    vector.collections.clear()
    house = await open_house(registry=registry(Surveyor(keeps=False).compose), meld_max_tool_calls=2)
    ended = (await house.run(QUESTION))[-1].ended
    assert (ended.outcome, ended.error.reason) == (agents_pb2.RUN_OUTCOME_FAILED, "BUDGET_EXHAUSTED")


async def test_beyond_its_calls_a_model_is_asked_no_more(open_house: Open) -> None:
    with ModelServer(TEXT) as server:
        house = await open_house(server.base_url, registry=registry(Clerk().compose), meld_max_model_calls=1)
        result = result_of(await house.run(QUESTION))
    assert list(result.result.research.gaps) == ["no model"]
    assert reasons(result) == ["the run has reached its limit of 1 model calls; the model is asked no more."]


async def test_beyond_its_tokens_a_model_is_asked_no_more(open_house: Open) -> None:
    written = Answer("It was built in 1884 [1].", usage=(900, 100))
    with ModelServer(written) as server:
        house = await open_house(
            server.base_url,
            registry=registry(Clerk().compose),
            meld_max_run_tokens=1000,
            meld_model_capabilities="gpt-4=tools",
        )
        result = result_of(await house.run(QUESTION))
        assert server.chats[0].body["max_tokens"] == 1000
    assert reasons(result) == ["the run has reached its limit of 1000 tokens; the model is asked no more."]
    assert result.usage.output_tokens == 100


async def test_tools_of_a_model_end_with_the_ledger_too(open_house: Open) -> None:
    clerk = Clerk(with_tool=True)
    look = Calls([("look", '{"at": "x"}')])
    with ModelServer(TEXT, look, look) as server:
        house = await open_house(
            server.base_url,
            registry=registry(clerk.compose),
            meld_max_tool_calls=1,
            meld_model_capabilities="gpt-4=tools",
        )
        result = result_of(await house.run(QUESTION))
    assert len(clerk.looked) == 1
    assert reasons(result) == ["the run has reached its limit of 1 tool calls; the model is asked no more."]


async def below(house: Client, ledger: str, **fields: Any) -> list[Event]:
    """A run that another one starts and leaves this much. Raises the call's ServiceError."""
    import grpc.aio

    request = agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION, **fields)
    try:
        call = house.stub.RunAgent(request, timeout=20, metadata=[("meld-ledger", ledger)])
        return [event async for event in call]
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def test_a_run_below_another_has_what_that_one_leaves(open_house: Open) -> None:
    house = await open_house(registry=registry(Surveyor().compose))
    assert result_of(await house.run(QUESTION)).usage.tool_calls == 4
    result = result_of(await below(house, "tool_calls=3;seconds=100;hops=1"))
    assert result.usage.tool_calls == 3
    assert reasons(result) == ["the run has reached its limit of 3 tool calls; this is what there is."]


async def test_without_calls_left_for_it_the_documents_answer(open_house: Open) -> None:
    with ModelServer() as server:
        house = await open_house(server.base_url, registry=registry(Clerk().compose))
        result = result_of(await below(house, "model_calls=0"))
        assert not server.chats
    assert result.text == EXTRACT
    assert result.answer_mode == agents_pb2.ANSWER_MODE_EXTRACTIVE
    assert len(reasons(result)) == 1


async def test_runs_do_not_stand_below_each_other_without_end(open_house: Open) -> None:
    house = await open_house()
    with pytest.raises(ServiceError) as caught:
        await below(house, "hops=0")
    assert caught.value.reason == "BUDGET_EXHAUSTED"
    assert caught.value.metadata == {"limit": "4", "unit": "hops"}


async def test_a_ledger_that_is_none_is_refused(open_house: Open) -> None:
    house = await open_house()
    with pytest.raises(ServiceError) as caught:
        await below(house, "hops=many")
    assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_FIELD", "meld-ledger")


# -- results are checked ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "cause"),
    [
        pytest.param(
            results_pb2.ResearchResult(findings=[results_pb2.Finding(statement="x", citations=[1, 9])]),
            "$.findings[0].citations: there is no citation 9",
            id="a citation that is not there",
        ),
        pytest.param(
            results_pb2.ResearchResult(confidence=float("nan")),
            "$.confidence: nan is no number",
            id="no number",
        ),
    ],
)
async def test_a_result_that_does_not_hold_does_not_leave(
    open_house: Open, made: results_pb2.ResearchResult, cause: str
) -> None:
    async def compose(work: Work[Any]) -> results_pb2.ResearchResult:
        return made

    house = await open_house(registry=registry(compose))
    events = await house.run(QUESTION)
    ended = events[-1].ended
    assert (ended.outcome, ended.error.reason) == (agents_pb2.RUN_OUTCOME_FAILED, "RESULT_INVALID")
    assert cause in ended.error.message
    assert "result" not in kinds(events)


async def test_a_tool_that_the_agent_does_not_name_is_a_defect(open_house: Open) -> None:
    house = await open_house(registry=registry(Surveyor().compose, tools=("look",)))
    ended = (await house.run(QUESTION))[-1].ended
    assert ended.error.reason == "INTERNAL"
