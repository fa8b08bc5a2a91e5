"""The official openai client in front of a gateway as it runs, before scripted services."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import AbortedError, UnavailableError
from tests.contract.gateway.conftest import Gateway, within
from tests.unit.gateway.routes.test_runs import EVENTS, STARTED, event
from tests.unit.gateway.scripted_services import ScriptedServices

# The client is looked at every 0.2 s; the rest is for a busy machine.
SOON = 5.0
QUESTION: dict[str, Any] = {
    "model": "meld-research",
    "messages": [{"role": "user", "content": "Is it so?"}],
}
SAID = [event(2, text=agents_pb2.TextDelta(text="one ")), event(3, text=agents_pb2.TextDelta(text="two"))]


async def silent(_: Any) -> AsyncIterator[Any]:
    """A run that says a little and then nothing."""
    for said in (STARTED, *SAID):
        yield said
    await asyncio.Event().wait()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=10) as client:
        yield client


def test_a_stream_is_read_while_it_comes_about(client: openai.OpenAI, services: ScriptedServices) -> None:
    services.script["RunAgent"] = silent
    with client.chat.completions.create(**QUESTION, stream=True) as stream:
        first, second = next(stream), next(stream)
        assert (first.choices[0].delta.role, second.choices[0].delta.content) == ("assistant", "one ")


def test_a_client_that_leaves_a_stream_stops_the_run(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = silent
    stream = client.chat.completions.create(**QUESTION, stream=True)
    next(stream)
    assert not services.cancelled["RunAgent"].is_set()
    stream.close()
    assert services.cancelled["RunAgent"].wait(SOON), "the run still works for nobody"


def test_a_client_that_leaves_before_the_answer_stops_the_run(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = silent
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1).chat.completions.create(**QUESTION)
    assert services.cancelled["RunAgent"].wait(SOON), "the run still works for nobody"


def test_comments_that_keep_a_silent_stream_alive_are_no_chunks(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    go_on = threading.Event()

    async def slow(_: Any) -> AsyncIterator[Any]:
        yield STARTED
        while not go_on.is_set():
            await asyncio.sleep(0.05)
        for said in EVENTS[1:]:
            yield said

    services.script["RunAgent"] = slow
    stream = client.chat.completions.create(**QUESTION, stream=True)
    next(stream)
    # Two heartbeats of this gateway.
    time.sleep(1.2)
    go_on.set()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Yes.\nNo"


def test_an_error_in_a_stream_is_raised(client: openai.OpenAI, services: ScriptedServices) -> None:
    services.script["RunAgent"] = [STARTED, *SAID, UnavailableError("gone", reason="VECTOR_UNAVAILABLE")]
    stream = client.chat.completions.create(**QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="gone") as caught:
        list(stream)
    assert (caught.value.code, caught.value.type) == ("vector_unavailable", "server_error")


def test_a_passing_error_is_tried_again_by_the_client_and_a_lasting_one_is_not(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    patient = client.with_options(max_retries=1)
    services.script["RunAgent"] = AbortedError("at work", reason="RUN_IN_PROGRESS", retry_after=0.1)
    with pytest.raises(openai.ConflictError):
        patient.chat.completions.create(**QUESTION)
    assert len(services.requests["RunAgent"]) == 2
    services.requests.clear()
    services.script["RunAgent"] = AbortedError("another one", reason="REQUEST_CONFLICT")
    with pytest.raises(openai.ConflictError):
        patient.chat.completions.create(**QUESTION)
    assert len(services.requests["RunAgent"]) == 1


def test_a_picture_larger_than_other_json_arrives_whole(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    picture = bytes(range(256)) * 8192
    arrived: list[bytes] = []

    async def put(messages: AsyncIterator[Any]) -> session_pb2.PutAttachmentResponse:
        arrived.append(b"".join([message.data async for message in messages]))
        return session_pb2.PutAttachmentResponse(
            attachment=session_pb2.Attachment(attachment_id="att_1", bytes=len(arrived[0]))
        )

    agent = agents_pb2.Agent(agent_id="image")
    json_format.ParseDict({"properties": {"attachment_ids": {}}}, agent.input_schema)
    services.script["GetAgent"] = agents_pb2.GetAgentResponse(agent=agent)
    services.script["PutAttachment"] = put
    services.script["RunAgent"] = EVENTS
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    content: Any = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(model="meld-auto", messages=[{"role": "user", "content": content}])
    assert arrived == [picture]
    (asked,) = services.requests["RunAgent"]
    assert (asked.agent_id, list(asked.inputs["attachment_ids"])) == ("image", ["att_1"])


def test_embeddings_are_the_same_in_both_forms(client: openai.OpenAI, services: ScriptedServices) -> None:
    services.script["EmbedTexts"] = vector_pb2.EmbedTextsResponse(
        embeddings=[vector_pb2.Embedding(values=[0.1, -0.2, 0.3])], embedding_model="minilm"
    )
    # Asks for base64 by itself.
    packed = client.embeddings.create(model="meld-embedding", input="text")
    plain = client.embeddings.create(model="meld-embedding", input=["text"], encoding_format="float")
    assert packed.data[0].embedding == pytest.approx([0.1, -0.2, 0.3])
    assert plain.data[0].embedding == pytest.approx(packed.data[0].embedding)


def test_a_stream_beyond_its_time_ends_with_an_error(
    client: openai.OpenAI, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = silent
    stream = client.chat.completions.create(**QUESTION, stream=True, extra_headers={"Request-Timeout": "0.6"})
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.type == "server_error"


def test_streams_that_were_left_give_their_place_back(
    client: openai.OpenAI, services: ScriptedServices, gateway: Gateway
) -> None:
    services.script["RunAgent"] = silent

    def answered() -> bool:
        with contextlib.suppress(openai.InternalServerError):
            client.chat.completions.create(**QUESTION, stream=True).close()
            return True
        return False

    streams = [client.chat.completions.create(**QUESTION, stream=True) for _ in range(8)]
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**QUESTION, stream=True)
    assert caught.value.code == "too_many_streams"
    for stream in streams:
        stream.close()
    assert within(SOON, answered)
