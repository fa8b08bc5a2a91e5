"""What can go wrong with a call of an OpenAI-compatible endpoint, as a ModelError."""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import Awaitable
from typing import TypeVar

import openai

from services.agents.ports import ModelError

T = TypeVar("T")

_REPEATABLE_STATUSES = frozenset({408, 409, 429})
_ILL_STATUSES = frozenset({408, 429})


async def guarded(work: Awaitable[T], deadline: float, model: str) -> T:
    """The outcome of one step, before the deadline (of time.monotonic); every failure as a ModelError."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await work
    except (TimeoutError, openai.APITimeoutError) as error:
        raise ModelError(
            "the model does not answer in time", model=model, repeatable=True, ill=True
        ) from error
    except openai.APIConnectionError as error:
        raise ModelError(
            "the connection to the model broke", model=model, repeatable=True, ill=True
        ) from error
    except openai.APIStatusError as error:
        raise _refusal(error, model) from error
    except openai.APIError as error:
        raise ModelError("the model reported an error in its answer", model=model, ill=True) from error
    except (ValueError, TypeError, AttributeError) as error:
        # What the client's parser raises over bytes that are no completion.
        raise ModelError("the model's answer cannot be read", model=model, ill=True) from error


def _refusal(error: openai.APIStatusError, model: str) -> ModelError:
    status = error.status_code
    return ModelError(
        f"the model answered with HTTP status {status}",
        model=model,
        repeatable=status in _REPEATABLE_STATUSES or status >= 500,
        ill=status in _ILL_STATUSES or status >= 500,
        retry_after=retry_after(error.response.headers.get("retry-after", ""), time.time()),
    )


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
