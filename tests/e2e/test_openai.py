"""The official openai client, as it is, against the running house."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.launched import ROOT, House, launched
from tests.support.model_server import Answer, Calls, ModelServer
from tests.support.pictures import page, saved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

COLLECTION = "openai"
DEEP = "The harbour of Elmsund is fourteen metres deep."
QUESTION: Any = [{"role": "user", "content": "How deep is the harbour of Elmsund?"}]
OURS = {"collections": [COLLECTION]}


def fill(house: House) -> None:
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": COLLECTION}, timeout=30).raise_for_status()
    text = f"# Elmsund\n\n{DEEP} Its light has burned since 1871.\n"
    httpx.post(
        f"{api}/collections/{COLLECTION}/documents", files={"file": ("harbour.md", text)}, timeout=60
    ).raise_for_status()


def client_of(house: House) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{house.base_url}/v1", api_key="none", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[openai.OpenAI]:
    fill(house)
    with client_of(house) as client:
        yield client


def test_each_agent_is_a_model(client: openai.OpenAI, house: House) -> None:
    agents = httpx.get(f"{house.base_url}/api/v1/agents", timeout=30).json()["agents"]
    assert len(agents) == 12
    expected = ["meld-auto", *(f"meld-{agent['id'].replace('_', '-')}" for agent in agents)]
    listed = client.models.list()
    assert [model.id for model in listed] == [*expected, "meld-embedding"]
    assert client.models.retrieve("meld-code-repair").owned_by == "meld-rag"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_an_answer_has_sources_that_can_be_checked_again(client: openai.OpenAI, house: House) -> None:
    answer: Any = client.chat.completions.create(model="meld-auto", messages=QUESTION, extra_body=OURS)
    assert answer.choices[0].message.content == f"{DEEP} [1]"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 0
    assert answer.meld["agent"] == "research"
    (source,) = answer.sources
    assert (source["quote"], source["verified"]) == (DEEP, True)
    names = ("document_id", "extraction_sha256", "byte_start", "byte_end", "quote")
    checked = httpx.post(
        f"{house.base_url}/api/v1/citations/verify",
        json={"citations": [{name: source[name] for name in names}]},
        timeout=30,
    )
    assert [verdict["verified"] for verdict in checked.json()["results"]] == [True]


def test_a_stream_says_the_same_and_names_its_sources_at_the_end(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="meld-research",
        messages=QUESTION,
        extra_body={**OURS, "sources": "footnotes"},
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks: list[Any] = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith(f"{DEEP} [1]\n\nSources:\n\n[1] ")
    assert text.endswith(f"“{DEEP}”")
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert [source["quote"] for source in chunks[-2].sources] == [DEEP]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 0)


def test_what_was_said_before_counts(client: openai.OpenAI) -> None:
    follow_up: Any = {"role": "user", "content": "Why is that?"}
    before: Any = [*QUESTION, {"role": "assistant", "content": DEEP}]
    alone, followed = (
        client.chat.completions.create(model="meld-research", messages=messages, extra_body=OURS)
        for messages in ([follow_up], [*before, follow_up])
    )
    assert DEEP in (followed.choices[0].message.content or "")
    assert DEEP not in (alone.choices[0].message.content or "")


def test_a_session_keeps_what_is_said(client: openai.OpenAI, house: House) -> None:
    api = f"{house.base_url}/api/v1"
    session = httpx.post(f"{api}/sessions", json={"collections": [COLLECTION]}, timeout=30).json()["id"]
    answer: Any = client.chat.completions.create(
        model="meld-research", messages=QUESTION, metadata={"session_id": session}
    )
    assert answer.meld["session_id"] == session
    kept = httpx.get(f"{api}/sessions/{session}/messages", timeout=30).json()["messages"]
    assert [message["text"] for message in kept] == [QUESTION[0]["content"], f"{DEEP} [1]"]


def test_a_request_that_is_repeated_with_its_key_is_one_run(client: openai.OpenAI) -> None:
    answers = [
        client.chat.completions.create(
            model="meld-research",
            messages=QUESTION,
            extra_body=OURS,
            extra_headers={"Idempotency-Key": "the-same"},
        )
        for _ in range(2)
    ]
    assert answers[0].to_dict() == answers[1].to_dict()
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(
            model="meld-research",
            messages=[{"role": "user", "content": "Another?"}],
            extra_headers={"Idempotency-Key": "the-same"},
        )


def test_a_picture_is_looked_at(client: openai.OpenAI) -> None:
    url = f"data:image/png;base64,{base64.b64encode(saved(page('The quay of Varnholm'))).decode()}"
    content: Any = [
        {"type": "text", "text": "What size is this picture?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    answer: Any = client.chat.completions.create(
        model="meld-auto", messages=[{"role": "user", "content": content}]
    )
    assert answer.meld["agent"] == "image"
    (picture,) = answer.meld["result"]["pictures"]
    assert picture["attachment_id"]


def test_embeddings_tell_near_from_far(client: openai.OpenAI) -> None:
    made = client.embeddings.create(
        model="meld-embedding", input=["how deep is the harbour", "the deep harbour", "a poem about love"]
    )
    asked, near, far = (item.embedding for item in made.data)
    assert (len(asked), made.model) == (384, "all-MiniLM-L6-v2")
    assert math.hypot(*asked) == pytest.approx(1, abs=1e-3)
    assert sum(a * b for a, b in zip(asked, near, strict=True)) > 0.2 + sum(
        a * b for a, b in zip(asked, far, strict=True)
    )
    with pytest.raises(openai.BadRequestError, match="tokens"):
        client.embeddings.create(model="meld-embedding", input=[[1, 2, 3]])


@pytest.mark.parametrize(
    ("more", "kind", "code", "param"),
    [
        ({"model": "gpt-4"}, openai.NotFoundError, "model_not_found", "model"),
        ({"n": 2}, openai.BadRequestError, "unsupported_parameter", "n"),
        ({"temperature": 5}, openai.BadRequestError, "invalid_field", "temperature"),
        (
            {"messages": [{"role": "user", "content": " "}]},
            openai.BadRequestError,
            "invalid_field",
            "messages",
        ),
        (
            {"extra_body": {"collections": ["no-such-collection"]}},
            openai.NotFoundError,
            "collection_not_found",
            None,
        ),
        ({"metadata": {"session_id": "no-such-session"}}, openai.NotFoundError, "session_not_found", None),
    ],
)
def test_errors_are_those_of_the_protocol(
    client: openai.OpenAI,
    more: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str,
    param: str | None,
) -> None:
    asked: dict[str, Any] = {"model": "meld-research", "messages": QUESTION, **more}
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**asked, stream=stream)
        assert (caught.value.code, caught.value.param) == (code, param)
        assert caught.value.request_id


def test_the_example_of_the_guide_works(client: openai.OpenAI, house: House) -> None:
    guide = (ROOT / "docs" / "openai.md").read_text()
    example = guide.partition("```python\n")[2].partition("```")[0]
    here = example.replace("http://127.0.0.1:5000", house.base_url).replace('"notes"', f'"{COLLECTION}"')
    assert here.count(house.base_url) == here.count(f'"{COLLECTION}"') == 1
    done = subprocess.run(
        [sys.executable, "-c", here], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(DEEP)
    assert done.stdout.splitlines()[-1].endswith(DEEP)


def test_an_api_that_is_not_offered_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="meld-auto", input="Why?")
    assert caught.value.code == "unknown_url"


TOOL: Any = {
    "type": "function",
    "function": {
        "name": "sea_temperature",
        "description": "How warm the sea is at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def test_tools_without_a_model_are_refused_by_name(client: openai.OpenAI) -> None:
    for model in ("meld-research", "meld-auto", "meld-image"):
        with pytest.raises(openai.BadRequestError, match="tools") as caught:
            client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL])
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools")


def test_the_model_asks_for_a_tool_of_the_client_and_goes_on_with_its_answer(tmp_path: Path) -> None:
    asks = Calls([("sea_temperature", '{"place": "Elmsund"}')], usage=(50, 5))
    answered = Answer("Fourteen metres [1], and 19 degrees.", usage=(90, 9))
    with ModelServer(asks, answered, asks, answered) as model:
        more = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-scripted-key"}
        more["MELD_MODEL_CAPABILITIES"] = "gpt-4=tools"
        with launched(tmp_path, more) as house, client_of(house) as client:
            fill(house)
            asked: dict[str, Any] = {"model": "meld-research", "tools": [TOOL], "extra_body": OURS}

            first = client.chat.completions.create(messages=QUESTION, **asked)
            assert first.choices[0].finish_reason == "tool_calls"
            said = first.choices[0].message
            (call,) = said.tool_calls or ()
            assert json.loads(call.function.arguments) == {"place": "Elmsund"}  # type: ignore[union-attr]
            told: Any = {"role": "tool", "tool_call_id": call.id, "content": "19 degrees"}
            last: Any = client.chat.completions.create(messages=[*QUESTION, said, told], **asked)
            assert last.choices[0].finish_reason == "stop"
            assert last.choices[0].message.content == "Fourteen metres [1], and 19 degrees."
            assert [source["quote"] for source in last.sources] == [DEEP]
            assert "19 degrees" in model.chats[1].messages[-1]["content"]

            chunks = list(client.chat.completions.create(messages=QUESTION, stream=True, **asked))
            assert chunks[-1].choices[0].finish_reason == "tool_calls"
            (delta,) = (part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or ())
            assert (delta.index, delta.function and delta.function.name) == (0, "sea_temperature")
            back: Any = {"role": "assistant", "tool_calls": [delta.to_dict()]}
            told["tool_call_id"] = delta.id
            again = client.chat.completions.create(messages=[*QUESTION, back, told], stream=True, **asked)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in again)
            assert text == "Fourteen metres [1], and 19 degrees."


def test_with_a_model_tokens_are_counted_and_a_client_that_leaves_stops_it(tmp_path: Path) -> None:
    slow = Answer([f"word{number} " for number in range(600)], delay=0.1)
    with ModelServer(
        Answer("Fourteen metres [1].", usage=(321, 17)), slow, forever=Answer("No opinion.")
    ) as model:
        more = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-scripted-key"}
        with launched(tmp_path, more) as house, client_of(house) as client:
            fill(house)
            asked: dict[str, Any] = {"model": "meld-research", "messages": QUESTION, "extra_body": OURS}
            system: Any = {"role": "system", "content": "Answer in one sentence."}
            answer: Any = client.chat.completions.create(**{**asked, "messages": [system, *QUESTION]})
            assert answer.meld["answer_mode"] == "GENERATIVE"
            assert answer.usage.prompt_tokens >= 321
            assert answer.usage.completion_tokens >= 17
            assert "Answer in one sentence." in model.chats[0].messages[0]["content"]

            before = len(model.chats)
            stream = client.chat.completions.create(**asked, stream=True)
            seen = ""
            for chunk in stream:
                seen += chunk.choices[0].delta.content or ""
                if seen:
                    break
            stream.close()
            assert model.chats[before].wait_abandoned(10), "the model still writes for nobody"
