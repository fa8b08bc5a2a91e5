"""Real tasks for the audio agent, over gRPC: what recordings are measured to be, what models make of them."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.agents import recorder
from services.agents.ports import Sandboxed
from services.agents.runs import derived_run_id
from services.chassis.errors import NotFoundError
from services.sandbox.sandbox import open_sandbox
from services.vector.hosting import vector_server
from services.vector.models import ConfiguredModel
from tests.contract.agents.conftest import Client, Event, agents_house, kinds, result_of, streamed
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted, unavailable
from tests.contract.agents.test_journal import bytes_of, cut, replayed
from tests.contract.vector.world import WordEmbedder, count_words, settings_for, tenant_of_header
from tests.support.model_server import Answer, Failure, Heard, ModelServer, Spoken
from tests.unit.agents.hearing.sounds import noise, vowels, written

Open = Callable[..., Any]
RATE = 16_000
TALK = "att_talk"
REQUEST = "r-1"
RUN = derived_run_id("local", REQUEST, 0)
NOT_THERE = Answer("I cannot tell from the documents.")
SEGMENTS = [(0.0, 1.9, "We sell the lighthouse."), (3.4, 5.4, "Ann asks for offers by Friday.")]
HEARD = Heard("We sell the lighthouse. Ann asks for offers by Friday.", SEGMENTS)
MODELS = {"openai_transcription_model": "whisper-1", "openai_speech_model": "tts-1"}


def talk() -> bytes:
    """A voice, a pause, and the voice again, too loud."""
    voice = vowels(2, RATE)
    made = np.concatenate([voice, np.zeros(round(1.5 * RATE)), np.clip(10 * voice, -1, 1)])
    return written(made + noise(len(made) / RATE, -66, RATE), RATE, "FLAC")


class Filing(SessionNeighbour):
    """A session service that keeps attachments too."""

    def __init__(self, **given: bytes) -> None:
        super().__init__()
        self.files = {
            name: (session_pb2.Attachment(attachment_id=name, filename=f"{name}.flac"), data)
            for name, data in given.items()
        }

    def _described(self, attachment_id: str) -> session_pb2.Attachment:
        if attachment_id not in self.files:
            raise NotFoundError("no such attachment", reason="ATTACHMENT_NOT_FOUND")
        attachment, data = self.files[attachment_id]
        attachment.bytes, attachment.sha256 = len(data), hashlib.sha256(data).hexdigest()
        return attachment

    async def GetAttachment(self, request: Any, rpc: Any) -> session_pb2.GetAttachmentResponse:
        await self.faults.meet("GetAttachment")
        return session_pb2.GetAttachmentResponse(attachment=self._described(request.attachment_id))

    async def ReadAttachment(
        self, request: Any, rpc: Any
    ) -> AsyncIterator[session_pb2.ReadAttachmentResponse]:
        await self.faults.meet("ReadAttachment")
        yield session_pb2.ReadAttachmentResponse(attachment=self._described(request.attachment_id))
        data = self.files[request.attachment_id][1]
        for start in range(0, len(data), 256 << 10):
            yield session_pb2.ReadAttachmentResponse(data=data[start : start + (256 << 10)])

    async def PutAttachment(self, requests: Any, rpc: Any) -> session_pb2.PutAttachmentResponse:
        await self.faults.meet("PutAttachment")
        header, data = session_pb2.Attachment(), b""
        async for request in requests:
            if request.HasField("header"):
                header.CopyFrom(request.header)
            data += request.data
        name = f"att_{len(self.files)}"
        header.attachment_id = name
        self.files[name] = (header, data)
        return session_pb2.PutAttachmentResponse(attachment=self._described(name))

    def named(self, filename: str) -> bytes:
        """The content of a file that was kept."""
        return next(data for attachment, data in self.files.values() if attachment.filename == filename)


class Taking(VectorNeighbour):
    """A vector service that takes documents too."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[vector_pb2.IngestHeader, bytes]] = []

    async def IngestDocument(
        self, requests: Any, rpc: Any
    ) -> AsyncIterator[vector_pb2.IngestDocumentResponse]:
        header, data = vector_pb2.IngestHeader(), b""
        async for request in requests:
            if request.HasField("header"):
                header.CopyFrom(request.header)
            data += request.data
        self.taken.append((header, data))
        document = vector_pb2.Document(document_id="doc_1", collection_id=header.collection_id)
        yield vector_pb2.IngestDocumentResponse(document=document)


@pytest.fixture
async def sandbox() -> Sandboxed:
    box = await open_sandbox()
    if box.layer is None:
        pytest.skip(box.reason)
    return box


@asynccontextmanager
async def house_on(
    session: SessionNeighbour, vector: VectorNeighbour, model_url: str = "", **more: Any
) -> AsyncIterator[Client]:
    async with (
        hosted("vector", vector) as vectors,
        hosted("session", session) as sessions,
        agents_house(vectors, sessions, model_url, **more) as house,
    ):
        yield house


async def run(house: Client, message: str = "Listen to this.", **inputs: Any) -> list[Event]:
    given = struct_pb2.Struct()
    given.update(inputs)
    return await house.run(message, agent_id="audio", seconds=100, inputs=given, request_id=REQUEST)


def minutes(*points: tuple[str, str, int, int]) -> Answer:
    names = ("kind", "text", "first_line", "last_line")
    return Answer(json.dumps({"points": [dict(zip(names, point, strict=True)) for point in points]}))


async def test_a_recording_is_measured_without_a_model(sandbox: Sandboxed) -> None:
    session = Filing(att_talk=talk())
    async with house_on(session, Taking(), sandbox=sandbox) as house:
        events = await run(house, attachment_ids=[TALK])
    result = result_of(events)
    (heard,) = result.result.audio.recordings
    assert heard.verdict == results_pb2.VERDICT_VERIFIED
    assert (heard.container, heard.codec, heard.sample_rate) == ("flac", "PCM_16", RATE)
    assert -25 < heard.integrated_lufs < -5
    assert heard.clip_count > 10
    assert heard.speech_count == 2
    assert session.named("att_talk.spectrogram.png").startswith(b"\x89PNG")
    assert kinds(events).count("tool_started") == kinds(events).count("tool_finished") == 1
    assert result.answer_mode == agents_pb2.ANSWER_MODE_TOOLS
    assert result.text == streamed(events)
    # As docs/agents.md has it.
    assert result.text.startswith(
        "att_talk.flac: flac (PCM_16), 1 channel, 16000 Hz, 00:05; loudness -6.1 LUFS, range 18.8 LU, "
        "true peak 0.5 dBTP.\n"
        "- It clips: 450 runs at full scale with 1876 samples, the first at 3.507 s in channel 1.\n"
        "- 1 silence, the longest from 1.99 to 3.50 s.\n"
        "- Somebody seems to speak for 4.1 s in 2 parts, 58 dB above the noise.\n"
    )
    assert "OPENAI_TRANSCRIPTION_MODEL" in result.text


async def test_what_is_said_becomes_subtitles_minutes_and_a_document(sandbox: Sandboxed) -> None:
    session, vector = Filing(att_talk=talk()), Taking()
    steps = (
        NOT_THERE,
        HEARD,
        minutes(("decision", "The lighthouse is sold.", 0, 7)),
        minutes(("decision", "The lighthouse is sold.", 0, 0), ("task", "Ann: offers by Friday.", 1, 1)),
    )
    with ModelServer(*steps) as server:
        async with house_on(session, vector, server.base_url, sandbox=sandbox, **MODELS) as house:
            events = await run(
                house,
                "Write the minutes.",
                attachment_ids=[TALK],
                subtitles=True,
                minutes=True,
                ingest_collection_id="meld_rag_vectors",
            )
    result = result_of(events)
    audio = result.result.audio
    assert [(one.start, one.end, one.text) for one in audio.recordings[0].segments] == SEGMENTS
    assert [(one.kind, one.text, one.start, one.end) for one in audio.minutes] == [
        ("decision", "The lighthouse is sold.", 0.0, 1.9),
        ("task", "Ann: offers by Friday.", 3.4, 5.4),
    ]
    subtitles = session.named("att_talk.vtt")
    assert b"00:00:03.400 --> 00:00:05.400\nAnn asks for offers by Friday." in subtitles
    ((header, document),) = vector.taken
    assert (header.media_type, header.title) == ("text/vtt", "att_talk.flac (transcript)")
    assert document == subtitles
    assert audio.documents[0].document_id == "doc_1"
    # The answer, the recording, and the minutes, whose first draft named a line that there is not.
    assert result.usage.model_calls == 4
    assert "there are the lines 0 to 1" in json.dumps(server.chats[2].body)
    # What is said is fenced: data, whatever it says.
    asked = server.chats[1].messages[-1]["content"]
    assert asked.index("transcript") < asked.index("[0] 00:00 We sell") < asked.index("Write the minutes.")
    assert "- 00:03 task: Ann: offers by Friday." in result.text
    assert not audio.left_out

    # Once more with nothing but the record: no model, no files, no sandbox.
    session.files.clear()
    vector.faults.error = unavailable()
    async with house_on(session, vector) as house:
        again, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, again)) == list(map(bytes_of, events))


async def test_what_was_said_is_found_and_cited_with_its_time(sandbox: Sandboxed, tmp_path: Path) -> None:
    """In the real vector service, through the next run of another agent."""
    # Chroma loads it in a thread, and openai's client cannot be made while it is half loaded: services that
    # share no process never meet there.
    importlib.import_module("httpx")
    model = ConfiguredModel(WordEmbedder(), count_words)
    knowledge = vector_server(settings_for(tmp_path), model, "127.0.0.1:0", tenant_of_header)
    async with AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(knowledge)
        vectors = f"127.0.0.1:{await server.start()}"
        stack.push_async_callback(server.stop, 0)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(vectors))
        stub = vector_pb2_grpc.VectorServiceStub(channel)
        await stub.CreateCollection(vector_pb2.CreateCollectionRequest(collection_id="meetings"))
        sessions = await stack.enter_async_context(hosted("session", Filing(att_talk=talk())))
        with ModelServer(NOT_THERE, HEARD) as models:
            async with agents_house(vectors, sessions, models.base_url, sandbox=sandbox, **MODELS) as house:
                heard = result_of(await run(house, attachment_ids=[TALK], ingest_collection_id="meetings"))
        assert not heard.result.audio.left_out
        async with agents_house(vectors, sessions) as house:
            answer = result_of(
                await house.run("Who asks for offers, and by when?", collection_ids=["meetings"])
            )
    assert "Ann asks for offers by Friday." in answer.text
    (citation,) = [one for one in answer.citations if "Ann asks" in one.quote]
    assert citation.document_id == heard.result.audio.documents[0].document_id
    assert citation.title == "att_talk.flac (transcript)"
    assert citation.location == "00:03–00:06"


async def test_a_run_that_is_resumed_does_not_have_the_same_heard_twice(
    sandbox: Sandboxed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MAX_BATCH", 1)
    monkeypatch.setattr("services.agents.hearing.pieces.MAX_SECONDS", 4.0)
    session, vector = Filing(att_talk=talk()), Taking()
    one, two = Heard("One.", [(0.5, 1, "One.")]), Heard("Two.", [(0.5, 1, "Two.")])
    with ModelServer(NOT_THERE, one, two) as server:
        async with house_on(session, vector, server.base_url, sandbox=sandbox, **MODELS) as house:
            whole = await run(house, attachment_ids=[TALK])
    appended = [
        count
        for count, append in enumerate(session.appends, 1)
        for event in append.events
        if _summary(event) == "One."
    ]
    left = cut(session, appended[0])
    held = Filing(att_talk=talk())
    held.runs, held.events, held.entries = left.runs, left.events, left.entries
    with ModelServer(two) as server:
        async with house_on(held, vector, server.base_url, sandbox=sandbox, **MODELS) as house:
            events = await run(house, attachment_ids=[TALK])
    assert result_of(events).result.audio.text == "One. Two."
    assert result_of(events).usage.model_calls == result_of(whole).usage.model_calls == 3


def _summary(event: session_pb2.RunEvent) -> str:
    payload = Event()
    event.payload.Unpack(payload)
    return payload.tool_finished.summary


async def test_a_model_that_is_down_leaves_the_measurements(sandbox: Sandboxed) -> None:
    session = Filing(att_talk=talk())
    with ModelServer(NOT_THERE, Failure(401), Failure(401)) as server:
        async with house_on(session, Taking(), server.base_url, sandbox=sandbox, **MODELS) as house:
            result = result_of(await run(house, attachment_ids=[TALK], subtitles=True))
    audio = result.result.audio
    assert audio.verdict == results_pb2.VERDICT_VERIFIED
    assert [one.component for one in result.degradations] == ["model"]
    assert audio.left_out == ["att_talk.flac from 00:00 on: the model that writes down speech gave nothing."]
    assert not audio.text


async def test_a_text_is_spoken_by_a_model(sandbox: Sandboxed) -> None:
    session = Filing()
    with ModelServer(NOT_THERE, Spoken(b"an mp3")) as server:
        async with house_on(session, Taking(), server.base_url, sandbox=sandbox, **MODELS) as house:
            result = result_of(await run(house, say={"text": "The ferry leaves at six.", "voice": "nova"}))
    assert session.named("speech.mp3") == b"an mp3"
    assert (result.result.audio.speech.speaker, result.usage.model_calls) == ("tts-1", 2)
    assert "tts-1 spoke the text: speech.mp3." in result.text


async def test_a_text_is_spoken_without_a_model(sandbox: Sandboxed) -> None:
    session = Filing()
    async with house_on(session, Taking(), sandbox=sandbox) as house:
        result = result_of(await run(house, say={"text": "The ferry leaves at six."}))
    audio = result.result.audio
    if "not installed" in audio.verdict_reason:
        pytest.skip(audio.verdict_reason)
    assert session.named("speech.wav").startswith(b"RIFF")
    assert audio.speech.duration > 1
    assert "espeak-ng spoke the text: speech.wav" in result.text


async def test_a_recording_that_is_not_there_is_named(sandbox: Sandboxed) -> None:
    async with house_on(Filing(), Taking(), sandbox=sandbox) as house:
        events = await run(house, attachment_ids=["nowhere"])
    assert events[-1].ended.error.reason == "ATTACHMENT_NOT_FOUND"
