"""Models of sound, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from services.agents.adapters.openai_audio import OpenAIAudio, open_sound
from services.agents.chat.providers import AudioProvider, Provider
from services.agents.ledger import Ledger
from services.agents.ports import ModelError, SoundFile, Utterance
from tests.support.model_server import Failure, Hang, Heard, ModelServer, Raw, Spoken

SOUND = SoundFile("piece.flac", "audio/flac", b"fLaC and so on")


@asynccontextmanager
async def opened(
    server: ModelServer, listener: str = "whisper-1", speaker: str = "tts-1"
) -> AsyncIterator[OpenAIAudio]:
    place = Provider("openai", server.base_url, "chat-model", SecretStr("a key"))
    async with open_sound(AudioProvider(place, listener, speaker)) as model:
        yield model


async def test_a_transcription_with_its_times() -> None:
    segments = [(0.0, 1.5, " Good morning."), (1.5, 3.25, " It rains."), (3.25, 4.0, "  ")]
    ledger = Ledger.of()
    with ModelServer(Heard("Good morning. It rains.", segments, "english")) as server:
        async with opened(server) as model:
            heard = await model.transcribe(SOUND, "en", 10, ledger)
    assert heard.text == "Good morning. It rains."
    assert heard.utterances == (Utterance(0, 1.5, "Good morning."), Utterance(1.5, 3.25, "It rains."))
    assert (heard.language, heard.done.model) == ("english", "whisper-1")
    assert ledger.model_calls == 1
    (asked,) = server.requests
    assert asked.path == "/v1/audio/transcriptions"
    assert asked.headers["authorization"] == "Bearer a key"
    assert asked.body == {
        "model": "whisper-1",
        "language": "en",
        "response_format": "verbose_json",
        "timestamp_granularities": ["segment"],
        "file": SOUND.data,
    }


async def test_a_server_that_tells_no_times_is_asked_without_and_not_for_them_again() -> None:
    ledger = Ledger.of()
    with ModelServer(Failure(400), Heard("One.", usage=(70, 5)), Heard("Two.")) as server:
        async with opened(server) as model:
            first = await model.transcribe(SOUND, "", 10, ledger)
            second = await model.transcribe(SOUND, "", 10, ledger)
    assert (first.text, first.utterances, second.text) == ("One.", (), "Two.")
    assert (first.done.input_tokens, first.done.output_tokens) == (70, 5)
    assert ledger.model_calls == 3
    assert [exchange.body["response_format"] for exchange in server.requests] == [
        *("verbose_json", "json", "json")
    ]
    assert "language" not in server.requests[1].body


async def test_models_that_are_known_to_tell_none_are_not_asked_for_times() -> None:
    with ModelServer(Heard("One.")) as server:
        async with opened(server, "gpt-4o-mini-transcribe") as model:
            await model.transcribe(SOUND, "", 10, Ledger.of())
    assert server.requests[0].body["response_format"] == "json"


async def test_who_speaks_is_told_where_the_model_tells_voices_apart() -> None:
    said = {"text": "Yes. No.", "segments": [{"start": 0, "end": 1, "text": "Yes.", "speaker": "A"}]}
    with ModelServer(Raw(json.dumps(said).encode(), "application/json")) as server:
        async with opened(server, "gpt-4o-transcribe-diarize") as model:
            heard = await model.transcribe(SOUND, "", 10, Ledger.of())
    assert heard.utterances == (Utterance(0, 1, "Yes.", "A"),)
    assert server.requests[0].body["response_format"] == "diarized_json"


async def test_a_failure_that_passes_is_repeated() -> None:
    ledger = Ledger.of()
    with ModelServer(Failure(503), Heard("Fine.", [(0, 1, "Fine.")])) as server:
        async with opened(server) as model:
            assert (await model.transcribe(SOUND, "", 20, ledger)).text == "Fine."
    assert ledger.model_calls == 2


def answer(**fields: Any) -> Raw:
    return Raw(json.dumps(fields).encode(), "application/json")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param(Raw(b"<html>", "text/html"), "cannot be read", id="a web page"),
        pytest.param(answer(words="no"), "cannot be read", id="no text"),
        pytest.param(answer(text=["no"]), "cannot be read", id="text of another kind"),
        pytest.param(answer(text="x", segments=[{"start": 2, "end": 1, "text": "x"}]), "cannot", id="back"),
        pytest.param(answer(text="x", segments=[{"text": "x"}]), "cannot be read", id="no times"),
        pytest.param(answer(text="x" * 200_001), "cannot be read", id="without end"),
        pytest.param(Failure(401), "status 401", id="another key"),
        pytest.param(Hang(), "in time", id="silence"),
    ],
)
async def test_what_is_no_transcription_is_an_error(step: Any, said: str) -> None:
    # The second attempt is the one without times.
    again = [step] if isinstance(step, Failure) else []
    with ModelServer(step, *again) as server:
        async with opened(server) as model:
            with pytest.raises(ModelError, match=said):
                await model.transcribe(SOUND, "", 0.5, Ledger.of())


async def test_speech() -> None:
    ledger = Ledger.of()
    with ModelServer(Spoken(b"\xff\xfb an mp3")) as server:
        async with opened(server) as model:
            spoken = await model.speak("Good morning.", "", 10, ledger)
    assert spoken.sound == SoundFile("speech.mp3", "audio/mpeg", b"\xff\xfb an mp3")
    assert (spoken.voice, spoken.done.model, ledger.model_calls) == ("alloy", "tts-1", 1)
    assert server.requests[0].body == {
        "model": "tts-1",
        "voice": "alloy",
        "input": "Good morning.",
        "response_format": "mp3",
    }


async def test_no_sound_is_an_error() -> None:
    with ModelServer(Spoken(b"")) as server:
        async with opened(server) as model:
            with pytest.raises(ModelError, match="spoke 0 bytes"):
                await model.speak("Good morning.", "nova", 10, Ledger.of())


@pytest.mark.parametrize(
    ("listener", "speaker", "call"),
    [
        ("", "tts-1", lambda model: model.transcribe(SOUND, "", 10, Ledger.of())),
        ("whisper-1", "", lambda model: model.speak("Hello.", "", 10, Ledger.of())),
    ],
)
async def test_a_model_that_is_not_configured_is_not_asked(
    listener: str, speaker: str, call: Callable[[OpenAIAudio], Any]
) -> None:
    with ModelServer() as server:
        async with opened(server, listener, speaker) as model:
            assert (model.transcribes, model.speaks) == (bool(listener), bool(speaker))
            with pytest.raises(ModelError, match="no model of sound"):
                await call(model)
