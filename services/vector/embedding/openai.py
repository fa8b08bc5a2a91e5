"""Vectors from an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

# chromadb loads it in another thread some seconds after the start, and openai looks into it while it is half
# loaded: a question then failed.
import httpx  # noqa: F401
import numpy as np
import openai

from services.vector.embedding.ports import (
    EmbedderDeadlineError,
    EmbedderError,
    EmbedderRejectedError,
    EmbedderTextError,
    EmbedderUnavailableError,
    Vector,
    Vectors,
    remaining,
)
from services.vector.embedding.scale import BUILT_IN, Scale, measured

# The protocol allows 2,048 texts and 300,000 tokens a request. A token is at least one byte.
_BATCH_TEXTS = 256
_BATCH_BYTES = 300_000

_ATTEMPTS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0  # seconds
_CONNECT_SECONDS = 5.0
_CALLS_AT_ONCE = 8
# A local runtime on a slow processor may need this long for them.
_MEASURE_SECONDS = 120.0
_MEASURE_PAUSE = 300.0

# What an endpoint answers to a text that is too long or otherwise not to be taken.
_OF_TEXTS = (400, 413, 422)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class OpenAiEmbedder:
    """The port `Embedder` over HTTP. Close it at the end.

    model, dimension: such as text-embedding-3-small at 384 to 1536.
    base_url: up to and with the version, such as https://host/v1.

    The deadline covers all attempts of a call, and no call outlives it, however
    slowly the endpoint sends. Only what may pass is tried again (no connection,
    408, 409, 429, 5xx), not before Retry-After, five times in all.
    """

    def __init__(self, *, model: str, dimension: int, base_url: str, api_key: str) -> None:
        self._model = model
        self._dimension = dimension
        # The library refuses to be without one, and local runtimes ask for none.
        self._client = openai.OpenAI(api_key=api_key or "none", base_url=base_url, max_retries=0)
        # A read from a socket has a limit for each piece, not for the whole; so a call gets a thread that
        # its caller can leave. What is left behind holds one of these threads, no more.
        self._calls = ThreadPoolExecutor(_CALLS_AT_ONCE, "embed-openai")
        self._measuring = threading.Lock()
        self._measure_after = 0.0
        self._scale: Scale | None = None

    @property
    def model(self) -> str:
        """The name the endpoint knows the model by."""
        return self._model

    @property
    def dimension(self) -> int:
        """Columns of every answer."""
        return self._dimension

    @property
    def revision(self) -> str:
        """Not known: an endpoint says no more than the name."""
        return ""

    def close(self) -> None:
        """Gives up the connections. A call in work ends at its deadline."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def ping(self, *, deadline: float) -> None:
        """Asks for the list of models, once: free, and refused with a wrong key."""
        try:
            self._bounded(
                lambda: self._client.models.with_raw_response.list(timeout=_timeout(deadline)), deadline
            )
        except openai.NotFoundError:
            return  # an endpoint without that list; it is there and speaks HTTP
        except openai.APIError as error:
            raise _translated(error, deadline) from error

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        """See the port."""
        vector: Vector = self._embed([text], deadline)[0]
        return vector

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. An empty text is rejected, as the endpoint would."""
        return self._embed(texts, deadline)

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """As for questions, which wait for nothing here."""
        return self._embed(texts, deadline)

    def embed_texts(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """As for questions: the protocol does not tell them from other texts."""
        return self._embed(texts, deadline)

    def scale(self) -> Scale:
        """See the port. Measured in the background once it is asked for: it is some 50 texts to embed."""
        with self._measuring:
            now = time.monotonic()
            if self._scale is None and now >= self._measure_after:
                self._measure_after = now + _MEASURE_PAUSE
                with suppress(RuntimeError):  # closed
                    self._calls.submit(self._measure)
            return self._scale or BUILT_IN

    def _measure(self) -> None:
        deadline = time.monotonic() + _MEASURE_SECONDS
        try:
            self._scale = measured(lambda t: self._embed(t, deadline), lambda t: self._embed(t, deadline))
        except EmbedderError as error:
            _log.warning("the scale of %s is not known: %s", self._model, error)
        except Exception:  # nobody else looks at what this thread ended with
            _log.exception("the scale of %s is not known", self._model)

    def _embed(self, texts: Sequence[str], deadline: float) -> Vectors:
        parts = [self._embed_batch(batch, deadline) for batch in _batches(texts)]
        return np.concatenate(parts) if parts else np.empty((0, self._dimension), np.float32)

    def _embed_batch(self, texts: list[str], deadline: float) -> Vectors:
        def post() -> bytes:
            return self._client.embeddings.with_raw_response.create(
                model=self._model,
                input=texts,
                dimensions=self._dimension if _takes_dimensions(self._model) else openai.omit,
                timeout=_timeout(deadline),
            ).content

        return _parsed(self._retried(post, deadline), len(texts), self._dimension)

    def _retried(self, call: Callable[[], T], deadline: float) -> T:
        """The one retry loop: nothing below or above it repeats a call."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._bounded(call, deadline)
            except openai.APIError as error:
                failure = _translated(error, deadline)
                if attempt == _ATTEMPTS or isinstance(failure, EmbedderRejectedError | EmbedderDeadlineError):
                    raise failure from error
                pause = failure.retry_after
                if pause is None:
                    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
                    pause = random.uniform(longest / 2, longest)  # noqa: S311 - to spread callers, no secret
                if pause >= deadline - time.monotonic():
                    raise failure from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _bounded(self, call: Callable[[], T], deadline: float) -> T:
        try:
            future = self._calls.submit(call)
        except RuntimeError as error:  # the executor is shut
            raise EmbedderUnavailableError("the embedding client was closed") from error
        try:
            return future.result(remaining(deadline))
        except TimeoutError:
            raise EmbedderDeadlineError("the embedding endpoint did not answer before the deadline") from None
        except CancelledError as error:
            raise EmbedderUnavailableError("the embedding client was closed") from error
        finally:
            future.cancel()


def _takes_dimensions(model: str) -> bool:
    """Other models have one dimension, and several endpoints refuse the parameter for them."""
    return model.startswith("text-embedding-3")


def _timeout(deadline: float) -> openai.Timeout:
    seconds = remaining(deadline)
    return openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        try:
            length = len(text.encode())
        except UnicodeEncodeError as error:
            raise EmbedderTextError("a text holds a lone surrogate and is not valid Unicode") from error
        if not length:
            raise EmbedderTextError("a text is empty; the endpoint takes none such")
        if batch and (len(batch) == _BATCH_TEXTS or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _translated(error: openai.APIError, deadline: float) -> EmbedderUnavailableError | EmbedderRejectedError:
    """Without the endpoint's own words: they may repeat the key or the texts."""
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        code = f" ({error.code})" if error.code and _CODE.fullmatch(error.code) else ""
        message = f"the embedding endpoint answered {status}{code}"
        passing = status in (408, 409, 429) or status >= 500
        if passing and error.code != "insufficient_quota":
            return EmbedderUnavailableError(message, retry_after=_retry_after(error))
        return EmbedderTextError(message) if status in _OF_TEXTS else EmbedderRejectedError(message)
    if time.monotonic() >= deadline:
        return EmbedderDeadlineError("the embedding endpoint did not answer before the deadline")
    return EmbedderUnavailableError(f"the embedding endpoint is out of reach: {type(error).__name__}")


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds; a date, which no endpoint of this protocol sends, counts as nothing said."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _parsed(body: bytes, count: int, dimension: int) -> Vectors:
    """Vectors of length 1 in the order of the texts, whichever order they came in."""
    vectors = np.full((count, dimension), np.nan, np.float32)
    try:
        for item in json.loads(body)["data"]:
            row = _floats(item["embedding"])
            if row.shape != (dimension,):
                raise EmbedderRejectedError(
                    f"the embedding endpoint answers {row.size} dimensions where {dimension} are wanted: "
                    f"set VECTOR_DIMENSION to {row.size} or choose another model"
                )
            if not 0 <= item["index"] < count:
                raise ValueError("an index outside of the request")
            vectors[item["index"]] = row
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        OverflowError,
        RecursionError,
        binascii.Error,
    ) as error:
        raise EmbedderUnavailableError("the embedding endpoint's answer is not of the protocol") from error
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise EmbedderUnavailableError("the embedding endpoint's answer lacks vectors or holds unusable ones")
    unit: Vectors = vectors / lengths
    return unit


def _floats(embedding: Any) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float32)
    row = np.asarray(embedding, np.float32)
    if row.ndim != 1 or not row.size:
        raise ValueError("an embedding is a list of numbers")
    return row
