"""Stretches of lines that stand in two places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LEAST_LINES = 8
_MAX_FOUND = 50
# A window that stands in more places is boilerplate, and comparing all of them would not end.
_MAX_PLACES = 20
_COMMENT = re.compile(r"^\s*(?:#|//|\*|/\*).*$")


@dataclass(frozen=True)
class Duplicate:
    """Two stretches of equal lines, blanks and comments aside. Lines from 1, ends included."""

    path: str
    line: int
    end_line: int
    other_path: str
    other_line: int
    lines: int


def duplicates(texts: Mapping[str, str]) -> list[Duplicate]:
    """The longest first; at least 8 lines of code."""
    code: dict[str, list[tuple[int, str]]] = {}
    for path, text in texts.items():
        stripped = ((i, " ".join(line.split())) for i, line in enumerate(text.splitlines(), 1))
        code[path] = [(i, line) for i, line in stripped if line and not _COMMENT.match(line)]
    windows: dict[int, list[tuple[str, int]]] = {}
    for path, lines in code.items():
        for at in range(len(lines) - LEAST_LINES + 1):
            window = tuple(line for _, line in lines[at : at + LEAST_LINES])
            # Closing brackets and the like are no code.
            if sum(len(line) > 3 for line in window) >= LEAST_LINES - 2:
                windows.setdefault(hash(window), []).append((path, at))
    found: list[Duplicate] = []
    covered: set[tuple[str, int, str, int]] = set()
    for places in windows.values():
        for i, (path, at) in enumerate(places[:_MAX_PLACES]):
            for other, there in places[i + 1 : _MAX_PLACES]:
                if (path, at, other, there) in covered or (path == other and there - at < LEAST_LINES):
                    continue
                length = _length(code[path], at, code[other], there, same=path == other)
                if length < LEAST_LINES:
                    continue
                covered |= {(path, at + k, other, there + k) for k in range(length)}
                first, second = code[path], code[other]
                found.append(
                    Duplicate(path, first[at][0], first[at + length - 1][0], other, second[there][0], length)
                )
    found.sort(key=lambda d: (-d.lines, d.path, d.line))
    return found[:_MAX_FOUND]


def _length(
    first: list[tuple[int, str]], at: int, second: list[tuple[int, str]], there: int, *, same: bool
) -> int:
    limit = min(len(first) - at, len(second) - there, there - at if same else len(first))
    length = 0
    while length < limit and first[at + length][1] == second[there + length][1]:
        length += 1
    return length
