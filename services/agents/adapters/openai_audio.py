"""Models that listen and speak behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
from opentelemetry import propagate

from services.agents.adapters import failures
from services.agents.adapters.openai_model import open_client
from services.agents.chat.calls import WholeCalls
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.providers import AudioProvider
from services.agents.ports import (
    Meter,
    ModelDone,
    ModelError,
    SoundFile,
    SpokenSound,
    Transcription,
    Utterance,
)

# Ten minutes of speech, or a page of text, and a model that takes its time.
_SECONDS = 180.0
_VOICE = "alloy"
_MAX_SPEECH_BYTES = 32 << 20
_MAX_UTTERANCES = 5000
_MAX_CHARACTERS = 200_000
# OpenAI's own models that refuse to tell times.
_UNTIMED = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@asynccontextmanager
async def open_sound(
    provider: AudioProvider, measures: ModelMeasures | None = None
) -> AsyncIterator[OpenAIAudio]:
    """The models of sound of a provider."""
    async with open_client(provider.place) as client:
        yield OpenAIAudio(provider, client, measures)


class OpenAIAudio:
    """Is an AudioModel."""

    def __init__(
        self, provider: AudioProvider, client: openai.AsyncOpenAI, measures: ModelMeasures | None = None
    ) -> None:
        self._client = client
        self._listener, self._speaker = provider.transcription_model, provider.speech_model
        measures = measures or ModelMeasures({})
        self._calls = {
            model: WholeCalls(model, measures=measures)
            for model in dict.fromkeys((self._listener, self._speaker))
            if model
        }
        # What a model refused is not asked of it again.
        self._timed = not self._listener.startswith(_UNTIMED)

    @property
    def transcribes(self) -> bool:
        """See AudioModel."""
        return bool(self._listener)

    @property
    def speaks(self) -> bool:
        """See AudioModel."""
        return bool(self._speaker)

    async def transcribe(
        self, sound: SoundFile, language: str, seconds: float, meter: Meter
    ) -> Transcription:
        """See AudioModel."""

        async def attempt(left: float) -> Transcription:
            answer = await self._guarded(self._transcribe(sound, language), left, self._listener)
            return self._heard(answer)

        calls = self._chosen(self._listener)
        try:
            return await calls.make(attempt, lambda heard: heard.done, seconds, meter)
        except ModelError as error:
            # Servers that tell no times refuse to be asked for them.
            if not self._timed or error.repeatable or error.ill:
                raise
        self._timed = False
        return await calls.make(attempt, lambda heard: heard.done, seconds, meter)

    async def speak(self, text: str, voice: str, seconds: float, meter: Meter) -> SpokenSound:
        """See AudioModel."""
        voice = voice or _VOICE

        async def attempt(left: float) -> SpokenSound:
            data = await self._guarded(self._speak(text, voice), left, self._speaker)
            if not data or len(data) > _MAX_SPEECH_BYTES:
                raise ModelError(f"the model spoke {len(data)} bytes", model=self._speaker, ill=True)
            # The endpoint tells no tokens.
            sound = SoundFile("speech.mp3", "audio/mpeg", data)
            return SpokenSound(sound, voice, ModelDone(self._speaker, 0, 0))

        return await self._chosen(self._speaker).make(attempt, lambda said: said.done, seconds, meter)

    def _chosen(self, model: str) -> WholeCalls:
        if not model:
            raise ModelError("no model of sound is configured", model="")
        return self._calls[model]

    async def _guarded(self, work: Any, seconds: float, model: str) -> Any:
        return await failures.guarded(work, time.monotonic() + min(seconds, _SECONDS), model)

    async def _transcribe(self, sound: SoundFile, language: str) -> Any:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        timed: dict[str, Any] = {"response_format": "json"}
        if self._timed:
            timed = {"response_format": "verbose_json", "timestamp_granularities": ["segment"]}
        if "diarize" in self._listener:
            timed = {"response_format": "diarized_json", "extra_body": {"chunking_strategy": "auto"}}
        return await self._client.audio.transcriptions.create(
            model=self._listener,
            file=(sound.filename, sound.data, sound.media_type),
            language=language or openai.omit,
            extra_headers=headers,
            **timed,
        )

    async def _speak(self, text: str, voice: str) -> bytes:
        headers: dict[str, str] = {}
        propagate.inject(headers)
        answer = await self._client.audio.speech.create(
            model=self._speaker, voice=voice, input=text, response_format="mp3", extra_headers=headers
        )
        return answer.content

    def _heard(self, answer: Any) -> Transcription:
        """An answer as it is; the client does not validate, so every field may lack."""
        try:
            text = answer.text
            if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
                raise TypeError("no text")
            told = getattr(answer, "segments", None) or ()
            utterances = tuple(_utterance(segment) for segment in list(told)[:_MAX_UTTERANCES])
            usage = getattr(answer, "usage", None)
            tokens = tuple(int(getattr(usage, name, None) or 0) for name in ("input_tokens", "output_tokens"))
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError("the model's answer cannot be read", model=self._listener, ill=True) from error
        return Transcription(
            text.strip(),
            tuple(one for one in utterances if one.text),
            str(getattr(answer, "language", None) or "")[:40],
            ModelDone(self._listener, tokens[0], tokens[1]),
        )


def _utterance(segment: Any) -> Utterance:
    """Raises ValueError, TypeError or AttributeError for one that makes no sense."""
    start, end = float(segment.start), float(segment.end)
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise ValueError(f"from {start} to {end}")
    return Utterance(start, end, str(segment.text).strip(), str(getattr(segment, "speaker", None) or "")[:80])
