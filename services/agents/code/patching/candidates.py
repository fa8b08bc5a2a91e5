"""Changes on suspicious lines, the likeliest first."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from services.agents.code.patching import expressions, statements
from services.agents.code.patching.expressions import Change, Context
from services.agents.code.patching.patch import Patch
from services.agents.code.patching.source import Source

# How much a line that is not suspicious adds to the cost of its changes.
_DISTANCE = 2.0
_MAX_LITERAL = 12


# What an exception makes likelier, and how much that takes off the cost.
_HINTS = {
    "RecursionError": {"guard": 0.9, "argument": 0.6},
    "IndexError": {"one more or less": 0.3, "bound": 0.3, "comparison": 0.3, "guard": 0.3},
    "KeyError": {"index": 0.4, "guard": 0.4},
    "ZeroDivisionError": {"guard": 0.6},
    "TypeError": {"guard": 0.3, "one more call": 0.3, "one call less": 0.3},
    "AttributeError": {"guard": 0.4, "another function": 0.3},
    "TimeUp": {"condition": 0.4, "step of a loop": 0.9, "one statement more": 0.3},
}


def literals(tests: Iterable[str]) -> list[str]:
    """Small constants that the tests name, most frequent first."""
    counts: Counter[str] = Counter()
    for text in tests:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            plain = isinstance(node, ast.Constant) and isinstance(node.value, bool | int | None)
            if plain or isinstance(node, ast.List | ast.Dict | ast.Tuple | ast.UnaryOp):
                value = ast.unparse(node)
                if len(value) <= _MAX_LITERAL:
                    counts[value] += 1
    return [value for value, _ in counts.most_common()]


def candidates(
    files: Mapping[str, str],
    suspicion: Mapping[tuple[str, int], float],
    tests: Iterable[str],
    *,
    limit: int,
    messages: Sequence[str] = (),
    exceptions: Collection[str] = (),
) -> list[Patch]:
    """At most so many patches, by cost and suspicion.

    suspicion: 0 to 1 by path and line of a statement. messages, exceptions: of the errors that the
    tests ran into.
    """
    known = literals(tests)
    found: dict[tuple[str, str], Patch] = {}
    for path in dict.fromkeys(path for path, _ in suspicion):
        try:
            source = Source(files[path])
        except (SyntaxError, ValueError, RecursionError):
            continue
        context = Context(source, known)
        for message in dict.fromkeys(messages):
            for change in statements.missing_import(source, message):
                _keep(found, source, path, line=1, change=change, score=1.0)
            for change in statements.missing_name(source, message):
                line = source.text.count("\n", 0, change.edits[0].start) + 1
                _keep(found, source, path, line=line, change=change, score=1.0)
        for statement in source.statements:
            score = suspicion.get((path, statement.lineno))
            if score is None:
                continue
            for operator in (*expressions.OPERATORS, *statements.OPERATORS):
                for change in operator(context, statement):
                    _keep(found, source, path, line=statement.lineno, change=change, score=score)
    found = {key: _hinted(patch, exceptions) for key, patch in found.items()}
    return sorted(found.values(), key=lambda patch: (patch.cost, patch.line, patch.edits))[:limit]


def _hinted(patch: Patch, exceptions: Collection[str]) -> Patch:
    off = max((_HINTS.get(name, {}).get(patch.operator, 0.0) for name in exceptions), default=0.0)
    return replace(patch, cost=patch.cost - off) if off else patch


def _keep(
    found: dict[tuple[str, str], Patch], source: Source, path: str, *, line: int, change: Change, score: float
) -> None:
    edits = tuple(edit for edit in change.edits if source.text[edit.start : edit.end] != edit.new)
    if not edits:
        return
    patch = Patch(path, edits, line, change.operator, change.cost + _DISTANCE * (1 - score))
    # The same change may come from two operators.
    key = (path, repr([(edit.start, edit.end, edit.new) for edit in sorted(edits)]))
    if key not in found or patch.cost < found[key].cost:
        found[key] = patch
