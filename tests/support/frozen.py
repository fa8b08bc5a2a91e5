"""What a service said then, and what it says now."""

from __future__ import annotations

from typing import Any


def unsaid(then: Any, now: Any, place: str = "", but: frozenset[str] = frozenset()) -> list[str]:
    """What was said then and is another thing now, a line each. A release may say more than the one before.

    but: names of fields that may differ.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            line
            for name, value in then.items()
            if name not in but
            for line in unsaid(value, now.get(name), f"{place}/{name}", but)
        ]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            line
            for number, (one, other) in enumerate(zip(then, now, strict=True))
            for line in unsaid(one, other, f"{place}/{number}", but)
        ]
    return [] if then == now else [f"{place}: {then!r} is {now!r}"]
