"""Models behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk
from opentelemetry import propagate, trace

from services.agents.adapters import failures
from services.agents.chat.capabilities import Capabilities, Capability
from services.agents.chat.chain import ModelChain
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.providers import OPENAI_BASE_URL, Provider
from services.agents.ports import (
    Attachment,
    ChatMessage,
    ModelDone,
    ModelError,
    OfferedTool,
    Piece,
    Prompt,
    TextPiece,
    ToolRequest,
)
from services.chassis import telemetry
from services.chassis.errors import ServiceError

T = TypeVar("T")
# Bytes of attachments by their digest.
Shown = Mapping[str, bytes]

_CONNECT_SECONDS = 3.0
_FIRST_TEXT_SECONDS = 20.0
_IDLE_SECONDS = 15.0
# Beyond these a model is out of control.
_MAX_REQUESTS = 16
_MAX_ARGUMENTS = 100_000
_MAX_SHOWN_REFUSAL = 200


@asynccontextmanager
async def open_chain(
    providers: Sequence[Provider], max_output_tokens: int, measures: ModelMeasures | None = None
) -> AsyncIterator[ModelChain]:
    """A chat model made of these providers, at least one."""
    async with open_endpoints(providers, max_output_tokens) as endpoints:
        yield ModelChain(endpoints, measures=measures)


@asynccontextmanager
async def open_endpoints(
    providers: Sequence[Provider], max_output_tokens: int
) -> AsyncIterator[list[OpenAIEndpoint]]:
    """The model of each provider."""
    async with AsyncExitStack() as stack:
        yield [
            OpenAIEndpoint(
                provider, await stack.enter_async_context(open_client(provider)), max_output_tokens
            )
            for provider in providers
        ]


def open_client(provider: Provider) -> openai.AsyncOpenAI:
    """What asks a provider. Its caller closes it."""
    return openai.AsyncOpenAI(
        # Local servers ask for no key, the client does.
        api_key=provider.api_key.get_secret_value() or "none",
        base_url=provider.base_url,
        # The chain repeats; a second loop below it would multiply the calls.
        max_retries=0,
        # Reading is limited call by call; a limit here would be per read and not in total.
        timeout=openai.Timeout(None, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
    )


class OpenAIEndpoint:
    """One model of one provider."""

    def __init__(self, provider: Provider, client: openai.AsyncOpenAI, max_output_tokens: int) -> None:
        self._provider = provider
        self._client = client
        self._max_output_tokens = max_output_tokens

    @property
    def model(self) -> str:
        """The model's name."""
        return self._provider.model

    @property
    def capabilities(self) -> Capabilities:
        """What it can do besides writing text, as declared."""
        return self._provider.capabilities

    async def reach(self) -> None:
        """Opens a connection to the endpoint's address and closes it."""
        address = urlsplit(self._provider.base_url)
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(address.hostname, port)
        except (OSError, TimeoutError) as error:
            raise self._error(f"{address.hostname}:{port} cannot be reached", repeatable=True) from error
        writer.close()

    async def attempt(self, prompt: Prompt, seconds: float) -> AsyncGenerator[Piece]:
        """Asks once. Raises ModelError; text that came before it is marked by `truncated`."""
        # Not the current span: the block is left and entered again at each piece.
        span = telemetry.tracer().start_span(
            "chat", kind=trace.SpanKind.CLIENT, attributes={"gen_ai.request.model": self.model}
        )
        told = False
        try:
            async with aclosing(self._read(prompt, time.monotonic() + seconds, span)) as pieces:
                async for piece in pieces:
                    told = told or isinstance(piece, TextPiece)
                    yield piece
        except ModelError as error:
            span.set_status(trace.StatusCode.ERROR, str(error))
            error.truncated = told
            raise
        finally:
            span.end()

    async def _read(self, prompt: Prompt, deadline: float, span: trace.Span) -> AsyncGenerator[Piece]:
        shown = await self._loaded(prompt, deadline)
        first = min(deadline, time.monotonic() + _FIRST_TEXT_SECONDS)
        stream = await self._guarded(self._open(prompt, shown, span), first)
        answer = _Answer()
        async with stream:
            chunks = aiter(stream)
            while True:
                limit = min(deadline, time.monotonic() + _IDLE_SECONDS) if answer.begun else first
                try:
                    chunk = await self._guarded(anext(chunks, None), limit)
                except ModelError:
                    if answer.finish:
                        break
                    raise
                if chunk is None:
                    break
                if text := self._text(chunk, answer):
                    yield TextPiece(text)
        # What was not offered cannot be asked for.
        requests = self._requests(answer) if self._offered(prompt) else ()
        done = self._done(answer, asks=bool(requests))
        for request in requests:
            yield request
        yield done

    async def _loaded(self, prompt: Prompt, deadline: float) -> Shown:
        """The bytes of what the prompt shows, each the ones that its digest names."""
        shown: dict[str, bytes] = {}
        for attachment in (part for message in prompt.messages for part in message.attachments):
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    data = await attachment.load()
            except (ServiceError, TimeoutError) as error:
                raise self._error(f"what it is to be shown cannot be read: {error}") from error
            if hashlib.sha256(data).hexdigest() != attachment.sha256:
                raise self._error("what it is to be shown is not what it was before")
            shown[attachment.sha256] = data
        return shown

    async def _open(
        self, prompt: Prompt, shown: Shown, span: trace.Span
    ) -> openai.AsyncStream[ChatCompletionChunk]:
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        limit = prompt.max_output_tokens or self._max_output_tokens
        if prompt.budget_tokens is not None:
            limit = max(1, min(limit, prompt.budget_tokens))
        # OpenAI's newer models refuse the old name of the limit; other endpoints know only that.
        own = self._provider.base_url.startswith(OPENAI_BASE_URL)
        return await self._client.chat.completions.create(
            model=self.model,
            messages=[_message(message, shown) for message in prompt.messages],
            tools=[_tool(tool) for tool in self._offered(prompt)] or openai.omit,
            tool_choice="required" if prompt.calls == "must" and prompt.tools else openai.omit,
            response_format=self._format(prompt) or openai.omit,
            stream=True,
            stream_options={"include_usage": True},
            temperature=openai.omit if prompt.temperature is None else prompt.temperature,
            max_completion_tokens=limit if own else openai.omit,
            max_tokens=openai.omit if own else limit,
            extra_headers=headers,
        )

    def _offered(self, prompt: Prompt) -> Sequence[OfferedTool]:
        return prompt.tools if Capability.TOOLS in self.capabilities else ()

    def _format(self, prompt: Prompt) -> Any:
        # Servers that hold a model to a schema from the first token on would keep it from asking for a tool.
        if prompt.schema is None or Capability.JSON_SCHEMA not in self.capabilities or self._offered(prompt):
            return None
        named = {"name": "answer", "schema": prompt.schema, "strict": True}
        return {"type": "json_schema", "json_schema": named}

    async def _guarded(self, work: Awaitable[T], deadline: float) -> T:
        return await failures.guarded(work, deadline, self.model)

    def _text(self, chunk: ChatCompletionChunk, answer: _Answer) -> str:
        """The text of a chunk; all else that it has goes into the answer.

        The client does not validate, so every field may lack.
        """
        try:
            if chunk.usage is not None:
                answer.usage = int(chunk.usage.prompt_tokens or 0), int(chunk.usage.completion_tokens or 0)
            if not chunk.choices:
                return ""
            choice = chunk.choices[0]
            answer.finish = str(choice.finish_reason or "") or answer.finish
            if choice.delta is None:
                return ""
            answer.refusal += str(choice.delta.refusal or "")[: _MAX_SHOWN_REFUSAL - len(answer.refusal)]
            for call in choice.delta.tool_calls or ():
                answer.join(call)
            text = str(choice.delta.content or "")
            answer.told = answer.told or bool(text)
            return text
        except (ValueError, TypeError, AttributeError) as error:
            raise self._error("the model's answer cannot be read", ill=True) from error

    def _requests(self, answer: _Answer) -> tuple[ToolRequest, ...]:
        requests = tuple(
            ToolRequest(asked.call_id or f"request_{position}", asked.tool, asked.arguments)
            for position, asked in enumerate(answer.requests)
        )
        if len(requests) > _MAX_REQUESTS or any(len(asked.arguments) > _MAX_ARGUMENTS for asked in requests):
            raise self._error("the model asks for tools without end", ill=True)
        return requests

    def _done(self, answer: _Answer, *, asks: bool) -> ModelDone:
        if not answer.finish:
            raise self._error("the model's answer broke off", repeatable=True, ill=True)
        if answer.refusal and not answer.told:
            raise self._error(f"the model refused: {answer.refusal}")
        # Some servers end with "stop" where a tool is asked for.
        if answer.finish not in {"stop", "length"} and not (asks and answer.finish == "tool_calls"):
            raise self._error(f"the model ended with {answer.finish!r}")
        if not answer.told and not asks:
            raise self._error("the model answered nothing", ill=True)
        tokens = answer.usage or (0, 0)
        return ModelDone(self.model, *tokens, cut=answer.finish == "length")

    def _error(
        self, message: str, *, repeatable: bool = False, ill: bool = False, retry_after: float | None = None
    ) -> ModelError:
        return ModelError(message, model=self.model, repeatable=repeatable, ill=ill, retry_after=retry_after)


@dataclass
class _Request:
    """A request for a tool, as it comes."""

    index: int
    call_id: str = ""
    tool: str = ""
    arguments: str = ""

    @property
    def whole(self) -> bool:
        """Whether its name and its arguments have come."""
        try:
            return bool(self.tool) and isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False


@dataclass
class _Answer:
    """What has come of an answer besides its text. told: whether text has come."""

    told: bool = False
    finish: str = ""
    usage: tuple[int, int] | None = None
    refusal: str = ""
    requests: list[_Request] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        """Whether text or a request has come."""
        return self.told or bool(self.requests)

    def join(self, part: Any) -> None:
        """Adds a part of a request: the first has the name, each has some of the arguments.

        A part belongs to the last one of its index, unless it begins another: some servers number all with 0.
        """
        index, call_id = int(part.index or 0), str(part.id or "")
        name = str((part.function and part.function.name) or "")
        known = next((one for one in reversed(self.requests) if one.index == index), None)
        if (
            known is None
            or (call_id and known.call_id and call_id != known.call_id)
            or (name and known.whole)
        ):
            if len(self.requests) > _MAX_REQUESTS:
                return
            known = _Request(index)
            self.requests.append(known)
        known.call_id = known.call_id or call_id
        known.tool = known.tool or name
        if len(known.arguments) <= _MAX_ARGUMENTS:
            known.arguments += str((part.function and part.function.arguments) or "")


def _message(message: ChatMessage, shown: Shown) -> Any:
    match message.role:
        case "system":
            return {"role": "system", "content": message.text}
        case "assistant" if message.requests:
            calls = [
                {
                    "id": asked.call_id,
                    "type": "function",
                    "function": {"name": asked.tool, "arguments": asked.arguments},
                }
                for asked in message.requests
            ]
            return {"role": "assistant", "content": message.text or None, "tool_calls": calls}
        case "assistant":
            return {"role": "assistant", "content": message.text}
        case "tool":
            return {"role": "tool", "content": message.text, "tool_call_id": message.answers}
        case _ if message.attachments:
            text = {"type": "text", "text": message.text}
            return {
                "role": "user",
                "content": [text, *(_attachment(part, shown) for part in message.attachments)],
            }
        case _:
            return {"role": "user", "content": message.text}


def _attachment(attachment: Attachment, shown: Shown) -> Any:
    data = base64.b64encode(shown[attachment.sha256]).decode()
    if attachment.needs is Capability.VISION:
        return {"type": "image_url", "image_url": {"url": f"data:{attachment.media_type};base64,{data}"}}
    kind = "wav" if attachment.media_type == "audio/wav" else "mp3"
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def _tool(tool: OfferedTool) -> Any:
    described = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": described}
