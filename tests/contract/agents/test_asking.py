"""An agent asks a model for a part of its typed result: how that may fail, and what is left then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from tests.contract.agents.clerk import Clerk, gaps, registry
from tests.contract.agents.conftest import Event, kinds, result_of
from tests.support.model_server import (
    BAD_JSON,
    Answer,
    Calls,
    Drop,
    Failure,
    Hang,
    ModelServer,
    Refusal,
    Stall,
    Step,
)

QUESTION = "When was the lighthouse of Brava built?"
TEXT = Answer("It was built in 1884 [1].", usage=(100, 10))
ALL = "gpt-4=tools+json_schema"
Open = Callable[..., Any]


async def asked(
    open_house: Open, clerk: Clerk, *steps: Step, forever: Step | None = None, **settings: Any
) -> tuple[list[Event], ModelServer]:
    """A run whose model writes its answer and is then asked; `steps` is what it does then."""
    seconds = settings.pop("seconds", 20)
    settings.setdefault("meld_model_capabilities", ALL)
    with ModelServer(TEXT, *steps, forever=forever) as server:
        house = await open_house(server.base_url, registry=registry(clerk.compose), **settings)
        return await house.run(QUESTION, seconds=seconds), server


def degradations(result: agents_pb2.RunResult) -> list[tuple[str, str]]:
    return [(item.component, item.reason) for item in result.degradations]


def told_last(server: ModelServer) -> str:
    return str(server.chats[-1].messages[-1]["content"])


def stands_without_the_part(events: list[Event]) -> str:
    """The run has all but the model's part, and says why once."""
    result = result_of(events)
    assert result.answer_mode == agents_pb2.ANSWER_MODE_GENERATIVE
    assert list(result.result.research.gaps) == ["no model"]
    assert [list(finding.citations) for finding in result.result.research.findings] == [[1]]
    ((component, reason),) = degradations(result)
    assert component == "model"
    assert [event.degradation.reason for event in events if event.HasField("degradation")] == [reason]
    return reason


async def test_a_model_gives_a_part_of_the_result(open_house: Open) -> None:
    events, server = await asked(open_house, Clerk(), Answer(gaps("Who built it?"), usage=(50, 5)))
    result = result_of(events)
    assert list(result.result.research.gaps) == ["Who built it?"]
    assert not result.degradations
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.model_calls) == (150, 15, 2)
    body = server.chats[-1].body
    assert body["response_format"]["type"] == "json_schema"
    schema = body["response_format"]["json_schema"]["schema"]
    assert (list(schema["properties"]), schema["required"]) == (["gaps"], ["gaps"])
    assert json.dumps(schema) in told_last(server)
    assert body["temperature"] == 0


async def test_without_a_model_nobody_is_asked_and_nothing_lacks(open_house: Open) -> None:
    house = await open_house(registry=registry(Clerk().compose))
    result = result_of(await house.run(QUESTION))
    assert list(result.result.research.gaps) == ["no model"]
    assert not result.degradations


async def test_a_model_that_is_not_said_to_follow_schemas_is_asked_in_words(open_house: Open) -> None:
    clerk = Clerk(with_tool=True)
    events, server = await asked(
        open_house, clerk, Answer(f"Here you are:\n```json\n{gaps('a')}\n```"), meld_model_capabilities=""
    )
    assert list(result_of(events).result.research.gaps) == ["a"]
    assert not {"response_format", "tools"} & set(server.chats[-1].body)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param("The gaps are many.", "no JSON", id="prose"),
        pytest.param('{"gaps": ["a"', "no JSON", id="half an object"),
        pytest.param('{"gaps": [NaN]}', "NaN", id="no number"),
        pytest.param("[" * 100_000, "no JSON", id="nested without end"),
        pytest.param('{"gaps": "a"}', "$.gaps", id="another type"),
        pytest.param("{}", "'gaps' is a required property", id="a field lacks"),
        pytest.param('{"gaps": [], "confidence": 1}', "confidence", id="a field too many"),
        pytest.param(gaps("bad"), "a gap is not to be bad", id="the agent's own check"),
    ],
)
async def test_an_answer_that_does_not_fit_is_mended_once(open_house: Open, wrong: str, told: str) -> None:
    def check(result: Any) -> None:
        if "bad" in result.gaps:
            raise ValueError("a gap is not to be bad")

    events, server = await asked(open_house, Clerk(check=check), Answer([wrong]), Answer(gaps("good")))
    result = result_of(events)
    assert list(result.result.research.gaps) == ["good"]
    assert not result.degradations
    assert told in told_last(server)
    assert server.chats[-1].messages[-2] == {"role": "assistant", "content": wrong}

    events, server = await asked(open_house, Clerk(check=check), Answer([wrong]), Answer([wrong]))
    assert told in stands_without_the_part(events)
    assert len(server.chats) == 3


async def test_a_truncated_answer_is_asked_for_again_and_shorter(open_house: Open) -> None:
    cut = Answer('{"gaps": ["a", "b', finish="length")
    events, server = await asked(open_house, Clerk(), cut, Answer(gaps("a")))
    assert list(result_of(events).result.research.gaps) == ["a"]
    assert "be shorter" in told_last(server)
    events, _ = await asked(open_house, Clerk(), cut, cut)
    assert "cut off" in stands_without_the_part(events)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        pytest.param(BAD_JSON, "cannot be read", id="bad json on the wire"),
        pytest.param(Refusal("I will not."), "refused: I will not.", id="refusal"),
        pytest.param(Answer("", finish="content_filter"), "content_filter", id="filtered"),
        pytest.param(Drop(['{"gaps": ', "["]), "broke", id="dropped in the middle"),
        pytest.param(Answer('{"gaps"', finish=None), "broke off", id="ends untold"),
        pytest.param(Failure(400), "400", id="bad request"),
        pytest.param(Failure(429, "3600"), "429", id="rate limit beyond the time"),
        pytest.param(Calls([("look", "{}")]), "tool_calls", id="a tool that was not offered"),
    ],
)
async def test_a_model_that_fails_costs_its_part_only(open_house: Open, step: Step, reason: str) -> None:
    events, _ = await asked(open_house, Clerk(), step)
    assert reason in stands_without_the_part(events)


async def test_a_rate_limit_is_waited_for(open_house: Open) -> None:
    events, server = await asked(open_house, Clerk(), Failure(429, "1"), Answer(gaps("a")))
    assert list(result_of(events).result.research.gaps) == ["a"]
    assert server.chats[-1].received - server.chats[-2].received >= 1


@pytest.mark.parametrize("silent", [Hang(), Stall(['{"gaps": '])], ids=["silence", "stall"])
async def test_a_model_that_stalls_leaves_time_for_the_result(open_house: Open, silent: Step) -> None:
    events, server = await asked(open_house, Clerk(), forever=silent, seconds=4)
    assert "in time" in stands_without_the_part(events)
    # Aside: the house, which hangs up, lives in this loop.
    assert await asyncio.to_thread(server.chats[-1].wait_abandoned, 10)


async def test_a_refusal_in_words_is_no_result(open_house: Open) -> None:
    sorry = Answer("I am sorry, I cannot help with that.")
    events, _ = await asked(open_house, Clerk(), sorry, sorry)
    assert "no JSON" in stands_without_the_part(events)


async def test_a_model_that_was_down_for_the_answer_is_not_asked_again(open_house: Open) -> None:
    with ModelServer(Failure(400)) as server:
        house = await open_house(server.base_url, registry=registry(Clerk().compose))
        result = result_of(await house.run(QUESTION))
        assert len(server.chats) == 1
    assert list(result.result.research.gaps) == ["no model"]
    assert [component for component, _ in degradations(result)] == ["model"]


# -- tools ------------------------------------------------------------------------------------------------


async def test_a_model_uses_a_tool_and_is_told_what_came_of_it(open_house: Open) -> None:
    clerk = Clerk(with_tool=True)
    use = Calls([("look", '{"at": "the lamp"}')], text="Let me see.", usage=(40, 4))
    events, server = await asked(open_house, clerk, use, Answer(gaps("a"), usage=(60, 6)))
    assert clerk.looked == [{"at": "the lamp"}]
    started = next(event.tool_started for event in events if event.HasField("tool_started"))
    finished = next(event.tool_finished for event in events if event.HasField("tool_finished"))
    assert (started.tool, dict(started.arguments)) == ("look", {"at": "the lamp"})
    assert (finished.succeeded, finished.summary, finished.call_id) == (True, "1 looks", started.call_id)
    assert finished.HasField("duration")
    first, second = server.chats[1:]
    assert [tool["function"]["name"] for tool in first.body["tools"]] == ["look"]
    assert "response_format" not in first.body
    request, answer = second.messages[-2:]
    assert request["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": "the lamp"}'}
    assert (answer["role"], answer["tool_call_id"]) == ("tool", request["tool_calls"][0]["id"])
    fence = answer["content"].split("\n")[0].removeprefix("<<<result of look ")
    assert answer["content"] == f'<<<result of look {fence}\n\n{{"looks": 1}}\n\nresult of look {fence}>>>'
    usage = result_of(events).usage
    assert (usage.tool_calls, usage.model_calls, usage.input_tokens) == (1, 3, 200)


async def test_what_is_used_is_told_while_the_run_goes_on(open_house: Open) -> None:
    use = Calls([("look", '{"at": "x"}')], usage=(40, 4))
    events, _ = await asked(
        open_house,
        Clerk(with_tool=True),
        use,
        Answer(gaps("a"), usage=(60, 6)),
        meld_model_prices="gpt-4=1000/0",
    )
    told = [event.usage for event in events if event.HasField("usage")]
    assert [(usage.model_calls, usage.tool_calls) for usage in told] == [
        (1, 0),
        (2, 0),
        (2, 1),
        (3, 1),
        (3, 1),
    ]
    assert [round(usage.cost_usd, 6) for usage in told] == [0.1, 0.14, 0.14, 0.2, 0.2]
    assert kinds(events).index("usage") < kinds(events).index("result")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        pytest.param(("fetch", '{"at": "x"}'), "no such tool", id="no tool of that name"),
        pytest.param(("measure", '{"at": "x"}'), "no such tool", id="allowed, not offered"),
        pytest.param(("", ""), "no such tool", id="no name"),
        pytest.param(("look", "{half"), "no JSON", id="no json"),
        pytest.param(("look", "[1]"), "no JSON object", id="no object"),
        pytest.param(("look", '{"at": 7}'), "do not fit: $.at", id="another type"),
        pytest.param(("look", '{"at": "x", "and": "y"}'), "do not fit", id="an argument too many"),
    ],
)
async def test_a_request_that_is_not_allowed_is_refused_and_told(
    open_house: Open, call: tuple[str, str], told: str
) -> None:
    clerk = Clerk(with_tool=True)
    events, server = await asked(open_house, clerk, Calls([call]), Answer(gaps("a")))
    assert list(result_of(events).result.research.gaps) == ["a"]
    assert told in told_last(server)
    assert clerk.looked == []
    assert not {"tool_started", "tool_finished"} & set(kinds(events))


async def test_a_model_that_only_uses_tools_comes_to_an_end(open_house: Open) -> None:
    clerk = Clerk(with_tool=True)
    events, server = await asked(
        open_house, clerk, forever=Calls([("look", '{"at": "x"}')] * 2), meld_max_model_calls=100
    )
    stands_without_the_part(events)
    assert len(clerk.looked) == 12
    assert len(server.chats) == 8
    assert "tools" not in server.chats[-1].body


async def test_a_model_that_asks_for_tools_without_end_is_not_obeyed(open_house: Open) -> None:
    clerk = Clerk(with_tool=True)
    events, _ = await asked(open_house, clerk, Calls([("look", '{"at": "x"}')] * 40))
    assert "without end" in stands_without_the_part(events)
    assert clerk.looked == []
