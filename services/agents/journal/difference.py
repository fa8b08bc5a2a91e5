"""Where a repeated run goes another way than the recorded one, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# What is shown on each side of the place where two texts part.
_BEFORE, _AFTER = 40, 80
_SHOWN = 200


class Difference(Exception):  # noqa: N818 - what was found, and not an error of anybody
    """A run that is repeated asks, says or makes something else than is recorded.

    kind: see ReplayDifference. position: of the recorded entry or event, from 1; one past the last where the
    record has ended. recorded, repeated: what stands there, shortened; "" for nothing. path: where they part.
    """

    def __init__(self, kind: str, position: int, recorded: str, repeated: str, path: str = "") -> None:
        told = f"{kind} at position {position}"
        if path:
            told += f", {path}"
        super().__init__(f"{told}: recorded {recorded or 'nothing'}, now {repeated or 'nothing'}")
        self.kind = kind
        self.position = position
        self.recorded = recorded
        self.repeated = repeated
        self.path = path


def between(kind: str, position: int, recorded: Any, repeated: Any) -> Difference:
    """The difference of two plain JSON values that differ; None for what is not there."""
    path, one, other = _parting("$", recorded, repeated)
    if isinstance(one, str) and isinstance(other, str):
        place = _common(one, other)
        return Difference(
            kind, position, _around(one, place), _around(other, place), f"{path} from character {place}"
        )
    return Difference(kind, position, _shown(one), _shown(other), path)


def _parting(path: str, one: Any, other: Any) -> tuple[str, Any, Any]:
    """The innermost values that differ, the first ones in order, and where they stand."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            if name not in one or name not in other or one[name] != other[name]:
                return _parting(f"{path}.{name}", one.get(name), other.get(name))
    if _listed(one) and _listed(other):
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            if left != right:
                return _parting(f"{path}[{index}]", left, right)
        longest = max(one, other, key=len)
        index = min(len(one), len(other))
        extra = longest[index] if index < len(longest) else None
        return (
            f"{path}[{index}]",
            extra if len(one) > len(other) else None,
            extra if len(other) > len(one) else None,
        )
    return path, one, other


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _common(one: str, other: str) -> int:
    """Characters that two texts have in common at the beginning."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _around(text: str, place: int) -> str:
    start, end = max(0, place - _BEFORE), place + _AFTER
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
