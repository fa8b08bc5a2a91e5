"""Models that make pictures behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
from opentelemetry import propagate

from services.agents.adapters import failures
from services.agents.adapters.openai_model import open_client
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.providers import Provider
from services.agents.ports import ModelDone, ModelError, Painted

_SECONDS = 180.0
_MAX_ANSWER_BYTES = 48 << 20
_MAX_PROMPT = 4_000
# These always answer with the bytes, and refuse to be asked for them.
_BYTES_ANYWAY = ("gpt-image", "chatgpt-image")
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@asynccontextmanager
async def open_images(
    provider: Provider, measures: ModelMeasures | None = None
) -> AsyncIterator[OpenAIPainter]:
    """The model of a provider that makes pictures."""
    async with open_client(provider) as client:
        yield OpenAIPainter(provider.model, client, measures)


class OpenAIPainter:
    """Is a Painter."""

    def __init__(self, model: str, client: openai.AsyncOpenAI, measures: ModelMeasures | None = None) -> None:
        self._model = model
        self._client = client
        self._measures = measures or ModelMeasures({})

    async def paint(self, prompt: str, size: str, seconds: float) -> Painted:
        """See Painter."""
        began, outcome = time.monotonic(), "abandoned"
        try:
            deadline = began + min(seconds, _SECONDS)
            painted = self._painted(await failures.guarded(self._asked(prompt, size), deadline, self._model))
            outcome = "answered"
        except ModelError as error:
            outcome = "failed" if error.ill else "refused"
            raise
        finally:
            self._measures.called(self._model, outcome, time.monotonic() - began)
        self._measures.used(painted.done)
        return painted

    async def _asked(self, prompt: str, size: str) -> Any:
        """The answer as JSON. It is read piece by piece: a picture has no bound of its own."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        wants = not self._model.startswith(_BYTES_ANYWAY)
        body = bytearray()
        async with self._client.images.with_streaming_response.generate(
            model=self._model,
            prompt=prompt,
            n=1,
            size=size or openai.omit,
            response_format="b64_json" if wants else openai.omit,
            extra_headers=headers,
        ) as response:
            async for piece in response.iter_bytes():
                body += piece
                if len(body) > _MAX_ANSWER_BYTES:
                    raise ModelError("the model's picture does not end", model=self._model, ill=True)
        return json.loads(body)

    def _painted(self, told: Any) -> Painted:
        """The picture of an answer. An address in place of it is not followed: whoever answers could name any
        place within reach of this service.
        """
        try:
            first = told["data"][0]
            data = base64.b64decode(first["b64_json"], validate=True)
            usage = told.get("usage") or {}
            tokens = [int(usage.get(name) or 0) for name in ("input_tokens", "output_tokens")]
            revised = str(first.get("revised_prompt") or "")[:_MAX_PROMPT]
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ModelError("the model's answer holds no picture", model=self._model, ill=True) from error
        kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "")
        if not kind:
            raise ModelError("what the model made is no PNG, JPEG or WebP", model=self._model, ill=True)
        return Painted(kind, data, ModelDone(self._model, tokens[0], tokens[1]), revised)
