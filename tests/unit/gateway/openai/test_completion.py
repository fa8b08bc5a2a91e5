from __future__ import annotations

from typing import Any

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.gateway.body import Fields
from services.gateway.openai import asking, completion

CITATION = agents_pb2.Citation(
    document_id="d1",
    title="harbour.md",
    extraction_sha256="ab",
    byte_start=10,
    byte_end=40,
    quote="The harbour is\nfourteen metres deep.",
    number=1,
    collection_id="notes",
    location="line 3",
)
RESULT = agents_pb2.RunResult(
    run_id="run_1",
    agent_id="research",
    answer_mode=agents_pb2.ANSWER_MODE_GENERATIVE,
    text="Fourteen metres [1].",
    citations=[CITATION],
    result=results_pb2.AgentResult(research=results_pb2.ResearchResult(confidence=1)),
    usage=agents_pb2.Usage(input_tokens=120, output_tokens=12),
)
NOTE = "\n\nSources:\n\n[1] harbour.md, line 3: “The harbour is fourteen metres deep.”"


def asked(**members: Any) -> asking.Asked:
    return asking.read(
        Fields({"model": "meld-auto", "messages": [{"role": "user", "content": "q"}], **members})
    )


def event(**what: Any) -> agents_pb2.RunAgentResponse:
    made = agents_pb2.RunAgentResponse(run_id="run_1", sequence=1, **what)
    made.event_time.seconds = 1_700_000_000
    return made


def text(piece: str, *, reset: bool = False) -> agents_pb2.RunAgentResponse:
    return event(text=agents_pb2.TextDelta(text=piece, reset=reset))


STARTED = event(started=agents_pb2.RunStarted(agent_id="auto"))


def ended(result: agents_pb2.RunResult = RESULT) -> agents_pb2.RunAgentResponse:
    return event(ended=agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED, result=result))


def chunks(*events: agents_pb2.RunAgentResponse, **members: Any) -> list[dict[str, Any]]:
    made = completion.Chunks(asked(stream=True, **members))
    return [chunk for item in events for chunk in made.of(item)]


def written(told: list[dict[str, Any]]) -> str:
    """The text that a client puts together."""
    return "".join(choice["delta"].get("content", "") for chunk in told for choice in chunk["choices"])


def test_a_completion_holds_the_text_the_usage_and_the_sources() -> None:
    whole = completion.whole(asked(), 1_700_000_000, RESULT)
    assert (whole["id"], whole["object"], whole["created"]) == (
        "chatcmpl-run_1",
        "chat.completion",
        1_700_000_000,
    )
    assert whole["model"] == "meld-auto"
    (choice,) = whole["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Fourteen metres [1].", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert whole["usage"] == {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132}
    (source,) = whole["sources"]
    assert (source["document_id"], source["byte_start"], source["byte_end"]) == ("d1", 10, 40)
    assert (source["quote"], source["location"], source["verified"]) == (
        CITATION.quote,
        "line 3",
        True,
    )
    assert whole["meld"]["agent"] == "research"
    assert whole["meld"]["answer_mode"] == "GENERATIVE"
    assert whole["meld"]["result"]["confidence"] == 1


def test_sources_are_told_as_they_were_asked_for() -> None:
    noted = completion.whole(asked(sources="footnotes"), 0, RESULT)
    assert noted["choices"][0]["message"]["content"] == f"Fourteen metres [1].{NOTE}"
    assert len(noted["sources"]) == 1
    silent = completion.whole(asked(sources="none"), 0, RESULT)
    assert "sources" not in silent
    assert silent["choices"][0]["message"]["content"] == RESULT.text
    assert completion.footnotes(agents_pb2.RunResult(text="Nothing.")) == ""


def test_a_long_quote_is_shortened_in_a_footnote_alone() -> None:
    long = agents_pb2.RunResult(citations=[agents_pb2.Citation(number=1, title="t", page=4, quote="x" * 900)])
    assert completion.footnotes(long) == f"\n\nSources:\n\n[1] t, page 4: “{'x' * 300}…”"
    assert len(completion.sources(long)[0]["quote"]) == 900


def test_an_answer_that_was_cut_says_so() -> None:
    cut = agents_pb2.RunResult()
    cut.CopyFrom(RESULT)
    cut.cut = True
    assert completion.whole(asked(), 0, cut)["choices"][0]["finish_reason"] == "length"
    assert chunks(STARTED, ended(cut))[-1]["choices"][0]["finish_reason"] == "length"


def test_chunks_begin_with_the_role_and_end_with_the_reason() -> None:
    told = chunks(STARTED, text("Fourteen "), text("metres [1]."), ended())
    assert [choice["delta"] for chunk in told for choice in chunk["choices"]] == [
        {"role": "assistant", "content": ""},
        {"content": "Fourteen "},
        {"content": "metres [1]."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in told] == [None, None, None, "stop"]
    assert {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in told} == {
        ("chatcmpl-run_1", "chat.completion.chunk", 1_700_000_000, "meld-auto")
    }
    assert told[-1]["sources"] == completion.sources(RESULT)
    assert not any("sources" in chunk or "usage" in chunk for chunk in told[:-1])


def test_usage_comes_last_and_only_where_it_is_wanted() -> None:
    told = chunks(STARTED, text("x"), ended(), stream_options={"include_usage": True})
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132}
    assert all(chunk["usage"] is None for chunk in told[:-1])


def test_footnotes_are_streamed_behind_the_text() -> None:
    told = chunks(STARTED, text("Fourteen metres [1]."), ended(), sources="footnotes")
    assert written(told) == f"Fourteen metres [1].{NOTE}"


def test_a_text_that_is_replaced_before_it_was_sent_is_never_seen() -> None:
    told = chunks(STARTED, text("Nothing was found."), STARTED, text("Two faults.", reset=True), ended())
    assert written(told) == "Two faults."


def test_a_new_text_that_begins_the_same_goes_on() -> None:
    told = chunks(
        STARTED,
        text("Deep "),
        text("[1] and "),
        text("lit [9]"),
        text("Deep [1] and lit", reset=True),
        ended(),
    )
    assert written(told) == "Deep [1] and lit"


def test_a_text_that_was_sent_and_does_not_stand_is_withdrawn_in_words() -> None:
    told = chunks(STARTED, text("It is [9] nine."), text(" More"), text("Fourteen.", reset=True), ended())
    shown = written(told)
    assert shown.startswith("It is [9] nine.")
    assert "withdrawn" in shown
    assert shown.endswith("Fourteen.")


def test_what_the_model_asks_of_tools_is_told_as_the_protocol_has_it() -> None:
    asks = [agents_pb2.ToolCall(call_id=f"c{n}", name="depth", arguments='{"at": 1}') for n in (1, 2)]
    result = agents_pb2.RunResult(run_id="run_1", agent_id="research", tool_calls=asks)
    tools = [{"type": "function", "function": {"name": "depth"}}]
    told = completion.whole(asked(model="meld-research", tools=tools), 1, result)
    (choice,) = told["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    first = {"id": "c1", "type": "function", "function": {"name": "depth", "arguments": '{"at": 1}'}}
    assert choice["message"]["tool_calls"] == [first, {**first, "id": "c2"}]

    streamed = chunks(STARTED, text("I ask."), ended(result), model="meld-research", tools=tools)
    assert written(streamed) == "I ask."
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed]
    assert [delta["tool_calls"] for delta in deltas if "tool_calls" in delta] == [
        [{"index": 0, **first}],
        [{"index": 1, **first, "id": "c2"}],
    ]
    assert streamed[-1]["choices"][0]["finish_reason"] == "tool_calls"

    one = asked(model="meld-research", tools=tools, parallel_tool_calls=False)
    assert completion.whole(one, 1, result)["choices"][0]["message"]["tool_calls"] == [first]
