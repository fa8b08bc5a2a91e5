"""What a user may use up in a time: the rules, over a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from services.session.failures import invalid_field
from services.session.identity import failures
from services.session.identity.model import Caller, Quota, Taking, Use
from services.session.identity.store import LimitStore
from services.session.requests import once

UNLIMITED = -1
_MAX_AMOUNT = 1 << 40


class Quotas:
    """limits: by unit, 0 for none."""

    def __init__(
        self, store: LimitStore, limits: Mapping[str, int], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock

    async def consume(self, caller: Caller, unit: str, amount: int, request_id: str) -> Quota:
        """Takes an amount.

        Raises InvalidArgumentError (INVALID_FIELD), ResourceExhaustedError (QUOTA_EXHAUSTED).
        """
        limit = self._limits.get(unit)
        if limit is None:
            raise invalid_field("unit", unit, f"must be one of {', '.join(self._limits)}")
        if not 0 <= amount < _MAX_AMOUNT:
            raise invalid_field("amount", amount, "must be 0 or more")
        request = once(request_id, (unit, str(amount)))
        if not limit:
            return Quota(UNLIMITED, 0)
        taken, left = await self._store.consume(caller, Taking(unit, amount, limit), request)
        if not taken:
            wait = max(1.0, left.reset_time / 1_000_000 - self._clock())
            raise failures.quota_exhausted(unit, limit, left.remaining, wait)
        return left

    async def uses(self, caller: Caller) -> list[Use]:
        """What the caller has used of each quota."""
        return [await self._use(caller, unit, limit) for unit, limit in self._limits.items()]

    async def _use(self, caller: Caller, unit: str, limit: int) -> Use:
        if not limit:
            return Use(unit, UNLIMITED, 0, 0)
        return Use(unit, limit, *await self._store.used(caller, unit))
