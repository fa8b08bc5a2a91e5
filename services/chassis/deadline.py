"""Limits in time for work that has none of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from services.chassis import context
from services.chassis.errors import DeadlineExceededError

T = TypeVar("T")


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """The outcome of `work`, if it comes within `seconds` and the caller's deadline.

    Raises DeadlineExceededError. Work in a thread goes on after that; its
    outcome is unknown, and the executor that runs it must be bounded.
    """
    limit = min(context.remaining(), float("inf") if seconds is None else seconds)
    if limit == float("inf"):
        return await work
    try:
        async with asyncio.timeout(limit) as scope:
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        raise DeadlineExceededError(
            f"no answer within {limit:.3g} s", reason="DEADLINE", metadata={"seconds": f"{limit:.3g}"}
        ) from None
