"""A change of one file as text."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Edit:
    """Characters start to end of a file give way to new text."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Patch:
    """Edits of a file that do not overlap.

    line: where the file changes, from 1. operator: the kind of change. cost: how unlikely such a change is
    and how much of the code it touches; about 1 for the simplest.
    """

    path: str
    edits: tuple[Edit, ...]
    line: int
    operator: str
    cost: float

    def apply(self, text: str) -> str:
        """The changed text."""
        for edit in sorted(self.edits, reverse=True):
            text = text[: edit.start] + edit.new + text[edit.end :]
        return text

    def wire(self) -> list[Any]:
        """As the program inside the sandbox takes it."""
        return [self.path, [[edit.start, edit.end, edit.new] for edit in sorted(self.edits)]]

    def joined(self, other: Patch) -> Patch | None:
        """Both changes at once; None when they are in different files or meet."""
        if self.path != other.path:
            return None
        edits = sorted({*self.edits, *other.edits})
        if any(b.start < a.end or b.start == a.start for a, b in itertools.pairwise(edits)):
            return None
        line = min(self.line, other.line)
        return Patch(
            self.path, tuple(edits), line, f"{self.operator} + {other.operator}", self.cost + other.cost
        )


def changed_files(before: Mapping[str, str], patches: Iterable[Patch]) -> dict[str, str]:
    """New contents of the files that the patches change."""
    return {patch.path: patch.apply(before[patch.path]) for patch in patches}


def unified_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The difference as `git apply` takes it."""
    parts: list[str] = []
    for path in sorted(after):
        old, new = _lines(before.get(path, "")), _lines(after[path])
        parts += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    return "".join(
        part if part.endswith("\n") else f"{part}\n\\ No newline at end of file\n" for part in parts
    )


def _lines(text: str) -> Sequence[str]:
    # Not splitlines: only "\n" ends a line for a patch.
    return [line for line in text.replace("\n", "\n\0").split("\0") if line]
