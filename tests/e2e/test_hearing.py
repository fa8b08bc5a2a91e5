"""A WAV and an MP3 go in over gRPC, in pieces; what a model heard is found, and cited with its time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from tests.support.launched import House, launched
from tests.support.model_server import Answer, Heard, ModelServer
from tests.unit.agents.hearing.sounds import vowels, written

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

COLLECTION = "talks"
RATE = 48_000
PIECE = 200_000
SEGMENTS = [(0.0, 1.5, "Welcome."), (1.5, 2.9, "The lighthouse of Varnholm was sold to Ann Berg.")]


@pytest.fixture
def listening_house(tmp_path: Path) -> Iterator[House]:
    """What it hears is scripted; what writes answers knows nothing."""
    heard = Heard(" ".join(text for _, _, text in SEGMENTS), SEGMENTS)
    unknowing = Answer("I cannot tell from the documents.")
    with ModelServer(unknowing, heard, heard, forever=unknowing) as models:
        settings = {"OPENAI_BASE_URL": models.base_url, "OPENAI_TRANSCRIPTION_MODEL": "whisper-1"}
        with launched(tmp_path / "house", settings) as house:
            yield house


def test_what_is_said_is_found_and_cited_with_its_time(listening_house: House) -> None:
    def channel(name: str) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{listening_house.ports[name]}")

    with channel("session") as session, channel("agents") as agents, channel("vector") as vector:
        knowledge = vector_pb2_grpc.VectorServiceStub(vector)
        knowledge.CreateCollection(vector_pb2.CreateCollectionRequest(collection_id=COLLECTION), timeout=30)
        kept = []
        for form, kind in (("WAV", "audio/wav"), ("MP3", "audio/mpeg")):
            data = written(np.clip(vowels(3, RATE), -1, 1), RATE, form)
            header = session_pb2.Attachment(filename=f"talk.{form.lower()}", media_type=kind, bytes=len(data))
            parts = [session_pb2.PutAttachmentRequest(header=header)]
            parts += [
                session_pb2.PutAttachmentRequest(data=data[start : start + PIECE])
                for start in range(0, len(data), PIECE)
            ]
            stub = session_pb2_grpc.SessionServiceStub(session)
            kept.append(stub.PutAttachment(iter(parts), timeout=60).attachment.attachment_id)
        request = agents_pb2.RunAgentRequest(agent_id="audio", message="Listen.", collection_ids=[COLLECTION])
        request.inputs.update({"attachment_ids": kept, "ingest_collection_id": COLLECTION})
        runs = agents_pb2_grpc.AgentServiceStub(agents)
        *_, ended = runs.RunAgent(request, timeout=120)
        recordings = ended.ended.result.result.audio.recordings
        assert [[segment.text for segment in each.segments] for each in recordings] == [
            [text for _, _, text in SEGMENTS]
        ] * 2

        asked = vector_pb2.SearchRequest(collection_ids=[COLLECTION], query="lighthouse of Varnholm sold")
        end = time.monotonic() + 60
        while len(found := knowledge.Search(asked, timeout=30).hits) < 2 and time.monotonic() < end:
            time.sleep(0.2)
        assert {hit.title for hit in found} == {"talk.wav (transcript)", "talk.mp3 (transcript)"}
        question = agents_pb2.RunAgentRequest(
            agent_id="research",
            message="To whom was the lighthouse of Varnholm sold?",
            collection_ids=[COLLECTION],
        )
        *_, ended = runs.RunAgent(question, timeout=60)
        cited = [each for each in ended.ended.result.citations if "Ann Berg" in each.quote]
        assert cited, ended
        assert re.fullmatch(r"\d\d:\d\d–\d\d:\d\d", cited[0].location)
