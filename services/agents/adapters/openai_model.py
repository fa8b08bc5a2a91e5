"""Models behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from opentelemetry import propagate, trace

from services.agents.chat.chain import ModelChain
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.providers import OPENAI_BASE_URL, Provider
from services.agents.ports import ChatMessage, ModelDone, ModelError, Prompt, TextPiece
from services.chassis import telemetry

T = TypeVar("T")

_CONNECT_SECONDS = 3.0
_FIRST_TEXT_SECONDS = 20.0
_IDLE_SECONDS = 15.0
_REPEATABLE_STATUSES = frozenset({408, 409, 429})
_ILL_STATUSES = frozenset({408, 429})


@asynccontextmanager
async def open_chain(
    providers: Sequence[Provider], max_output_tokens: int, measures: ModelMeasures | None = None
) -> AsyncIterator[ModelChain]:
    """A chat model made of these providers, at least one."""
    async with AsyncExitStack() as stack:
        endpoints = [
            OpenAIEndpoint(provider, await stack.enter_async_context(_client(provider)), max_output_tokens)
            for provider in providers
        ]
        yield ModelChain(endpoints, measures=measures)


def _client(provider: Provider) -> openai.AsyncOpenAI:
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

    async def attempt(self, prompt: Prompt, seconds: float) -> AsyncGenerator[TextPiece | ModelDone]:
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

    async def _read(
        self, prompt: Prompt, deadline: float, span: trace.Span
    ) -> AsyncGenerator[TextPiece | ModelDone]:
        first = min(deadline, time.monotonic() + _FIRST_TEXT_SECONDS)
        stream = await self._guarded(self._open(prompt, span), first)
        told, finish, usage = False, "", None
        async with stream:
            chunks = aiter(stream)
            while True:
                limit = min(deadline, time.monotonic() + _IDLE_SECONDS) if told else first
                try:
                    chunk = await self._guarded(anext(chunks, None), limit)
                except ModelError:
                    if finish:
                        break
                    raise
                if chunk is None:
                    break
                text, ended, usage = self._parts(chunk, usage)
                finish = ended or finish
                if text:
                    told = True
                    yield TextPiece(text)
        yield self._done(finish, told, usage)

    async def _open(self, prompt: Prompt, span: trace.Span) -> openai.AsyncStream[ChatCompletionChunk]:
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        limit = prompt.max_output_tokens or self._max_output_tokens
        # OpenAI's newer models refuse the old name of the limit; other endpoints know only that.
        own = self._provider.base_url.startswith(OPENAI_BASE_URL)
        return await self._client.chat.completions.create(
            model=self.model,
            messages=[_message(message) for message in prompt.messages],
            stream=True,
            stream_options={"include_usage": True},
            temperature=openai.omit if prompt.temperature is None else prompt.temperature,
            max_completion_tokens=limit if own else openai.omit,
            max_tokens=openai.omit if own else limit,
            extra_headers=headers,
        )

    async def _guarded(self, work: Awaitable[T], deadline: float) -> T:
        """The outcome of one step, before the deadline; every failure as a ModelError."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await work
        except (TimeoutError, openai.APITimeoutError) as error:
            raise self._error("the model does not answer in time", repeatable=True, ill=True) from error
        except openai.APIConnectionError as error:
            raise self._error("the connection to the model broke", repeatable=True, ill=True) from error
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except openai.APIError as error:
            raise self._error("the model reported an error in its answer", ill=True) from error
        except (ValueError, TypeError, AttributeError) as error:
            # What the client's parser raises over bytes that are no completion.
            raise self._error("the model's answer cannot be read", ill=True) from error

    def _refusal(self, error: openai.APIStatusError) -> ModelError:
        status = error.status_code
        return self._error(
            f"the model answered with HTTP status {status}",
            repeatable=status in _REPEATABLE_STATUSES or status >= 500,
            ill=status in _ILL_STATUSES or status >= 500,
            retry_after=retry_after(error.response.headers.get("retry-after", ""), time.time()),
        )

    def _parts(
        self, chunk: ChatCompletionChunk, usage: tuple[int, int] | None
    ) -> tuple[str, str, tuple[int, int] | None]:
        """Text, finish reason and usage of a chunk. The client does not validate, so every field may lack."""
        try:
            if chunk.usage is not None:
                usage = int(chunk.usage.prompt_tokens or 0), int(chunk.usage.completion_tokens or 0)
            if not chunk.choices:
                return "", "", usage
            choice = chunk.choices[0]
            text = choice.delta.content if choice.delta is not None else None
            return str(text or ""), str(choice.finish_reason or ""), usage
        except (ValueError, TypeError, AttributeError) as error:
            raise self._error("the model's answer cannot be read", ill=True) from error

    def _done(self, finish: str, told: bool, usage: tuple[int, int] | None) -> ModelDone:
        if not finish:
            raise self._error("the model's answer broke off", repeatable=True, ill=True)
        if finish not in {"stop", "length"}:
            raise self._error(f"the model ended with {finish!r}")
        if not told:
            raise self._error("the model answered nothing", ill=True)
        tokens = usage or (0, 0)
        return ModelDone(self.model, *tokens, cut=finish == "length")

    def _error(
        self, message: str, *, repeatable: bool = False, ill: bool = False, retry_after: float | None = None
    ) -> ModelError:
        return ModelError(message, model=self.model, repeatable=repeatable, ill=ill, retry_after=retry_after)


def _message(message: ChatMessage) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.text}
        case "assistant":
            return {"role": "assistant", "content": message.text}
        case _:
            return {"role": "user", "content": message.text}


def retry_after(header: str, now: float) -> float | None:
    """Seconds out of a Retry-After header, which has seconds or a date; None when it has neither.

    now: seconds since 1970.
    """
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
