"""Tries out what a model can do, with one tiny request for each capability."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from services.agents.chat.capabilities import Capability
from services.agents.chat.chain import Endpoint
from services.agents.ports import (
    Attachment,
    ChatMessage,
    ModelError,
    OfferedTool,
    Prompt,
    TextPiece,
    ToolRequest,
)

_SECONDS = 30.0
# Models that think before they answer count that as output.
_MAX_OUTPUT_TOKENS = 500
_SHOWN = 60

_TEXT = Prompt((ChatMessage("user", "Answer with the word ready."),), max_output_tokens=_MAX_OUTPUT_TOKENS)


@dataclass(frozen=True)
class Finding:
    """Whether something works, and what was seen where it does not."""

    works: bool
    seen: str = ""


async def writes(endpoint: Endpoint) -> Finding:
    """Whether the model is reached and writes text."""
    return await _tried(endpoint, _TEXT, lambda text, _: bool(text))


async def can(endpoint: Endpoint, capability: Capability) -> Finding:
    """Whether the model has a capability. The endpoint has to have it declared."""
    prompt, passed = _PROBES[capability]
    return await _tried(endpoint, prompt, passed)


async def _tried(
    endpoint: Endpoint, prompt: Prompt, passed: Callable[[str, list[ToolRequest]], bool]
) -> Finding:
    text, requests = "", []
    try:
        async with aclosing(endpoint.attempt(prompt, _SECONDS)) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextPiece):
                    text += piece.text
                elif isinstance(piece, ToolRequest):
                    requests.append(piece)
    except ModelError as error:
        return Finding(False, str(error))
    if passed(text, requests):
        return Finding(True)
    return Finding(False, f"it answered {' '.join(text.split())[:_SHOWN]!r}")


def _asked_for_the_tool(text: str, requests: list[ToolRequest]) -> bool:
    del text
    return any(request.tool == "report_ready" for request in requests)


def _held_to_the_schema(text: str, requests: list[ToolRequest]) -> bool:
    # The words ask for something else: only a model that is held to the schema gives this.
    del requests
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and list(value) == ["zq_17"] and value["zq_17"] in {"left", "right"}


def _saw_orange(text: str, requests: list[ToolRequest]) -> bool:
    del requests
    return "orange" in text.lower()


def _picture() -> bytes:
    """A PNG of 32 by 32 pixels, all orange."""
    side, row = 32, b"\0" + b"\xff\x80\x00" * 32

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(row * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _recording() -> bytes:
    """A WAV of half a second in which a tone of 440 Hz sounds, as a square wave."""
    rate, low, high = 8000, struct.pack("<h", -8000), struct.pack("<h", 8000)
    written = io.BytesIO()
    with wave.open(written, "wb") as recording:
        recording.setparams((1, 2, rate, 0, "NONE", ""))
        recording.writeframes(b"".join(high if i * 880 // rate % 2 else low for i in range(rate // 2)))
    return written.getvalue()


def _showing(question: str, attachment: Attachment) -> Prompt:
    message = ChatMessage("user", question, attachments=(attachment,))
    return Prompt((message,), max_output_tokens=_MAX_OUTPUT_TOKENS)


_PROBES: dict[Capability, tuple[Prompt, Callable[[str, list[ToolRequest]], bool]]] = {
    Capability.TOOLS: (
        Prompt(
            (ChatMessage("user", "Use the tool report_ready now."),),
            max_output_tokens=_MAX_OUTPUT_TOKENS,
            tools=(
                OfferedTool(
                    "report_ready",
                    "Reports that you are ready.",
                    {"type": "object", "properties": {}, "additionalProperties": False},
                ),
            ),
        ),
        _asked_for_the_tool,
    ),
    Capability.JSON_SCHEMA: (
        Prompt(
            (ChatMessage("user", "Which way? Answer as JSON."),),
            max_output_tokens=_MAX_OUTPUT_TOKENS,
            schema={
                "type": "object",
                "properties": {"zq_17": {"type": "string", "enum": ["left", "right"]}},
                "required": ["zq_17"],
                "additionalProperties": False,
            },
        ),
        _held_to_the_schema,
    ),
    Capability.VISION: (
        _showing("Which colour has this picture? One word.", Attachment.of("image/png", _picture())),
        _saw_orange,
    ),
    # Whatever is said of a tone, a model that answers at all has taken it.
    Capability.AUDIO: (
        _showing("Is this a tone or a voice? One word.", Attachment.of("audio/wav", _recording())),
        lambda text, _: "tone" in text.lower(),
    ),
}
