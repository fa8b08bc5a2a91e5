"""Remarks on pieces of a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """What to think about, in the characters start to end (exclusive) of a text. kind: see TextRemark."""

    kind: str
    statement: str
    start: int
    end: int


def byte_places(text: str, places: Iterable[int]) -> Mapping[int, int]:
    """For places in characters those in bytes of UTF-8."""
    found: dict[int, int] = {}
    last = size = 0
    for place in sorted(set(places)):
        size += len(text[last:place].encode())
        found[place], last = size, place
    return found
