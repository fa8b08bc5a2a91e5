from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.body import Fields
from services.gateway.openai import asking
from services.gateway.problem import ProblemError

DATA = base64.b64encode(b"bytes").decode()
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
RECORDING = {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "depth",
        "description": "How deep.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string", "maxLength": 9}}},
    },
}


def calls(*ids: str) -> dict[str, Any]:
    function = {"name": "depth", "arguments": "{}"}
    asked = [{"id": one, "type": "function", "function": function} for one in ids]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": asked}


def answers(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def asked(**members: Any) -> asking.Asked:
    return asking.read(Fields({"model": "meld-research", "messages": [user("Why?")], **members}))


def refused(**members: Any) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        asked(**members)
    return caught.value


# -- messages ------------------------------------------------------------------------------------------------


def test_the_last_message_is_the_question_and_those_before_it_history() -> None:
    said = asked(
        messages=[
            {"role": "system", "content": "Be brief."},
            user("How deep is it?"),
            assistant("Nine metres."),
            {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
            user("And the light?"),
        ]
    )
    run = said.run("research", [], "")
    assert run.message == "And the light?"
    assert [(turn.from_caller, turn.text) for turn in run.history] == [
        (True, "How deep is it?"),
        (False, "Nine metres."),
    ]
    assert run.instructions == "Be brief.\n\nIn English."


def test_a_message_as_the_client_got_it_can_be_sent_back() -> None:
    given = {
        "role": "assistant",
        "content": "Nine.",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    assert [turn.text for turn in asked(messages=[user("a"), given, user("b")]).history] == ["a", "Nine."]


def test_of_a_long_history_the_newest_turns_are_kept() -> None:
    turns = [message for n in range(60) for message in (user(f"q{n}"), assistant(f"a{n}"))]
    history = asked(messages=[*turns, user("now")]).history
    assert [turn.text for turn in history] == [m["content"] for m in turns[-40:]]

    long = [user("x" * 40_000), assistant("y" * 30_000), user("ü" * 10_000), assistant("z")]
    history = asked(messages=[*long, user("now")]).history
    assert [turn.text[0] for turn in history] == ["y", "ü", "z"]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "Why?",
        ["Why?"],
        [{"role": "system", "content": "s"}],
        [user("q"), assistant("prefill")],
        [user("")],
        [user(None)],
        [user([])],
        [{"role": "narrator", "content": "x"}],
        [{"content": "x"}],
        [{"role": "user", "content": "x", "colour": "red"}],
        [{"role": "system", "content": [PICTURE]}, user("q")],
        [user("q"), {"role": "tool", "tool_call_id": "1", "content": "7"}, user("r")],
        [user("q"), {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, user("r")],
        [user("q"), calls("c1")],
        [user("q"), calls("c1", "c2"), answers("c1", "7")],
        [user("q"), calls("c1"), answers("c2", "7")],
        [user("q"), calls("c1"), answers("c1", "7"), answers("c1", "8")],
        [user("q"), answers("c1", "7")],
        [user("q"), {"role": "tool", "content": "7"}],
        [user("q"), calls("c1"), {**answers("c1", "7"), "content": [PICTURE]}],
        [user("q"), {**calls("c1"), "role": "user"}],
        [user("q"), {"role": "function", "name": "f", "content": "7"}],
        [answers("c1", "7")],
    ],
)
def test_messages_that_are_no_question_are_refused(messages: Any) -> None:
    problem = refused(messages=messages)
    assert problem.status == 400
    assert problem.metadata["field"].startswith("messages") or problem.reason == "UNKNOWN_FIELD"


# -- tools ---------------------------------------------------------------------------------------------------


def test_tools_are_passed_on_as_they_are() -> None:
    run = asked(tools=[TOOL]).run("research", [], "")
    (tool,) = run.tools
    assert (tool.name, tool.description) == ("depth", "How deep.")
    assert json.loads(tool.parameters) == TOOL["function"]["parameters"]
    assert not run.tool_required


@pytest.mark.parametrize(
    ("choice", "names", "required"),
    [
        ("auto", ["depth", "tide"], False),
        ("required", ["depth", "tide"], True),
        ({"type": "function", "function": {"name": "tide"}}, ["tide"], True),
        ("none", [], False),
    ],
)
def test_a_choice_of_tools_is_kept(choice: Any, names: list[str], required: bool) -> None:
    tide = {"type": "function", "function": {"name": "tide"}}
    offer = asked(tools=[TOOL, tide], tool_choice=choice).offer
    assert ([tool.name for tool in offer.tools], offer.required) == (names, required)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"tools": {"a": 1}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [TOOL], "session_id": "ses_1"}, "session_id"),
    ],
)
def test_tools_that_are_none_are_named(members: dict[str, Any], field: str) -> None:
    problem = refused(**members)
    assert (problem.reason, problem.metadata["field"]) == ("INVALID_FIELD", field)


def test_tools_need_an_agent_that_is_named() -> None:
    with pytest.raises(ProblemError, match="name an agent"):
        asked(model="meld-auto", tools=[TOOL]).taken()


def test_what_tools_answered_goes_on_from_the_question() -> None:
    asks = {**calls("c1", "c2"), "content": "I ask."}
    said = asked(
        messages=[user("Why?"), asks, answers("c2", "low"), answers("c1", [{"type": "text", "text": "9"}])]
    )
    run = said.run("research", [], "")
    assert (run.message, list(run.history)) == ("Why?", [])
    (exchange,) = run.tool_exchanges
    assert exchange.text == "I ask."
    assert [(call.call_id, call.name, call.arguments) for call in exchange.calls] == [
        ("c1", "depth", "{}"),
        ("c2", "depth", "{}"),
    ]
    assert {answer.call_id: answer.text for answer in exchange.answers} == {"c1": "9", "c2": "low"}
    assert said.passes_tools


def test_tools_of_earlier_questions_are_told_as_the_callers_words() -> None:
    said = asked(messages=[user("a"), calls("c1"), answers("c1", "9"), assistant("Nine."), user("b")])
    assert [(turn.from_caller, turn.text) for turn in said.history] == [
        (True, "a"),
        (True, "(depth answered: 9)"),
        (False, "Nine."),
    ]
    assert not said.passes_tools


# -- pictures and recordings ---------------------------------------------------------------------------------


def test_media_go_to_the_agent_that_takes_them_where_none_is_named() -> None:
    for part, agent in ((PICTURE, "image"), (RECORDING, "audio")):
        said = asked(model="meld-auto", messages=[user([{"type": "text", "text": "What?"}, part])])
        assert said.taken() == (agent, said.media)
    assert asked(model="meld-auto").taken() == ("auto", ())
    with pytest.raises(ProblemError, match="different agents"):
        asked(model="meld-auto", messages=[user([PICTURE, RECORDING])]).taken()


def test_media_alone_are_a_question() -> None:
    assert asked(messages=[user([PICTURE])]).question == "What do they show?"
    assert asked(messages=[user([RECORDING])]).question == "What is to be heard?"


def test_a_question_about_a_picture_before_has_it_with_the_agent_that_looks() -> None:
    messages = [user([PICTURE]), assistant("A boat."), user("What colour?")]
    said = asked(model="meld-image", messages=messages)
    agent, media = said.taken()
    assert (agent, [item.data for item in media]) == ("image", [b"bytes"])
    assert said.history[0].text == "(picture)"
    assert asked(model="meld-research", messages=messages).taken() == ("research", ())
    assert asked(model="meld-auto", messages=messages).taken() == ("auto", ())


def test_attachments_join_those_that_the_inputs_name() -> None:
    run = asked(inputs={"attachment_ids": ["a"], "skip_text": True}).run("image", ["b"], "key")
    assert list(run.inputs["attachment_ids"]) == ["a", "b"]
    assert run.inputs["skip_text"] is True
    assert run.request_id == "key"
    assert list(asked().run("image", ["b"], "").inputs["attachment_ids"]) == ["b"]
    assert not asked().run("research", [], "").HasField("inputs")
    with pytest.raises(ProblemError, match="a list is needed"):
        asked(inputs={"attachment_ids": "a"}).run("image", ["b"], "")


# -- parameters ----------------------------------------------------------------------------------------------


def test_every_field_of_ours_reaches_the_run() -> None:
    said = asked(
        model="meld-auto",
        agent="code_repair",
        collections=["notes", "charts"],
        inputs={"depth": 2},
        session_id="s1",
        sources="Footnotes",
        temperature=0,
        max_tokens=5,
        max_completion_tokens=7,
    )
    run = said.run(said.taken()[0], [], "")
    assert (run.agent_id, run.session_id, list(run.collection_ids)) == (
        "code_repair",
        "s1",
        ["notes", "charts"],
    )
    assert (run.temperature, run.HasField("temperature"), run.max_output_tokens) == (0, True, 7)
    assert run.inputs["depth"] == 2
    assert said.sources == "footnotes"


def test_the_same_fields_are_read_in_metadata_as_strings_too() -> None:
    said = asked(
        metadata={
            "collections": "notes, charts",
            "inputs": '{"depth": 2}',
            "session_id": "s1",
            "sources": "none",
            "agent": "research",
            "trip": "to the client's own liking",
        }
    )
    assert (said.collections, said.session_id, said.sources) == (("notes", "charts"), "s1", "none")
    assert said.inputs is not None
    assert said.inputs["depth"] == 2
    assert asked(metadata={"collections": ["notes"]}).collections == ("notes",)
    assert asked(collections=["b1"], metadata={"collections": "a1"}).collections == ("b1",)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"session_id": 7}}, "metadata.session_id"),
        ({"metadata": {"sources": "loud"}}, "metadata.sources"),
        ({"sources": "loud"}, "sources"),
        ({"collections": "notes"}, "collections"),
        ({"agent": "audio"}, "agent"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"session_id": "s", "messages": [user("a"), assistant("b"), user("c")]}, "session_id"),
    ],
)
def test_what_cannot_be_used_is_named(members: dict[str, Any], field: str) -> None:
    problem = refused(**members)
    assert (problem.status, problem.metadata["field"]) == (400, field)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}, "tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"stop": ["\n"]}, "stop"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"store": True}, "store"),
    ],
)
def test_what_would_be_a_lie_to_pass_over_is_refused(members: dict[str, Any], field: str) -> None:
    problem = refused(**members)
    assert (problem.reason, problem.metadata["field"]) == ("UNSUPPORTED_PARAMETER", field)


@pytest.mark.parametrize(
    "members",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0, "store": False},
        {"top_p": 0.5, "seed": 7, "frequency_penalty": 0, "presence_penalty": 1, "user": "me"},
        {"tools": [{"type": "function"}], "tool_choice": "none"},
        {"tools": [], "functions": [], "tool_choice": "auto", "stop": [], "logit_bias": {}},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"service_tier": "auto", "parallel_tool_calls": True, "reasoning_effort": "low"},
        {"stop": None, "tools": None, "temperature": None, "metadata": None, "stream": None},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    ],
)
def test_what_is_harmless_is_tolerated(members: dict[str, Any]) -> None:
    assert asked(**members).question == "Why?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats(-1e300, 1e300) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "image_url", "url", "input_audio", "data", "x"]
            ),
            inner
            | st.sampled_from(["text", "image_url", "input_audio", "user", "system", "data:a/b;base64,"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = [
    *(
        "messages",
        "stream",
        "stream_options",
        "metadata",
        "collections",
        "inputs",
        "sources",
        "agent",
        "n",
        "stop",
    ),
    *("session_id", "temperature", "max_tokens", "tools", "tool_choice", "response_format", "modalities"),
]


@settings(max_examples=400, deadline=None)
@given(members=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_whatever_is_sent_is_read_or_refused(members: dict[str, Any]) -> None:
    with contextlib.suppress(ProblemError):
        said = asked(**members)
        assert said.run(said.taken()[0], [], "").message == said.question


def test_a_field_that_nobody_knows_is_refused() -> None:
    assert refused(max_length=5).reason == "UNKNOWN_FIELD"
