"""Whether the first row of a table names its columns.

Where it does, a row is best read as ``name: value; name: value``: a passage cut out of the table still says
what its values are, which is what lexical and dense search need. A few rows of one text each above it are
titles.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Final

_NAME: Final = re.compile(r"[^\W\d][^;:!?\n]{0,63}$")
_NUMBER: Final = re.compile(r"[-+(]?[$€£]?\d[\d.,' /:T+-]{0,30}%?\)?$")
# A number with its unit or currency.
_AMOUNT: Final = re.compile(
    r"[-+(]?(?:[A-Z]{3} ?|[$€£¥] ?)?-?\d[\d.,' /:T+-]{0,30}(?:%| ?[$€£¥]| ?[^\W\d_]{1,12}[23²³]?\.?)?\)?$"
)
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_.-]*$|[A-Z][A-Z0-9_]*$")
_TITLES_MAX: Final = 4
_WORD: Final = re.compile(r"[^\W_]+")
_USUAL: Final = frozenset(
    {
        "id", "no", "name", "title", "date", "time", "year", "month", "day", "city", "country", "state",
        "region", "address", "email", "phone", "description", "type", "kind", "category", "status", "price",
        "amount", "quantity", "total", "value", "unit", "currency", "text", "question", "answer", "url",
        "link", "label", "language", "code", "number", "count", "score", "author", "company", "first",
        "last", "from", "to", "key", "comment", "notes", "sku", "product", "item",
    }
)  # fmt: skip


def named_cells(names: Sequence[str], row: Sequence[str]) -> list[str]:
    """The row's cells with the names of their columns; "" for an empty cell."""
    padded = chain(names, ("",) * (len(row) - len(names)))
    return [
        (f"{name}: {value}" if name else value) if value else ""
        for name, value in zip(padded, row, strict=False)
    ]


def titles(sample: Sequence[Sequence[str]]) -> int:
    """How many rows of one text stand above the first of several; 0 where they are no few."""
    first = sample[: _TITLES_MAX + 1]
    return next((place for place, row in enumerate(first) if sum(map(bool, row)) > 1), 0)


def margin(sample: Sequence[Sequence[str]]) -> int:
    """How many columns at the left are empty in all rows."""
    return min((next((at for at, cell in enumerate(row) if cell), 0) for row in sample), default=0)


def has_names(sample: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    Its cells must be distinct and look like names; and either a column is numbers below a name that is
    none, or the names are written as identifiers, or one of them is a usual column name. Columns that are
    empty at the left do not count.
    """
    skipped = margin(sample)
    sample = [row[skipped:] for row in sample]
    if len(sample) < 2 or len(sample[0]) < 2:
        return False
    head, body = sample[0], sample[1:]
    if len(head) == 2 and not _is_label(head[1]) and _are_labels([row[0] for row in body]):
        return False
    named = [cell for cell in head if cell]
    if len(named) < max(2, len(head) - 1) or len(set(named)) < len(named):
        return False
    if sum(1 for cell in named if _NAME.match(cell)) < 0.9 * len(named) or any(
        _NUMBER.match(cell) for cell in named
    ):
        return False
    for place, cell in enumerate(head):
        values = [row[place] for row in body if place < len(row) and row[place]]
        if cell in values:
            return False
        amounts = sum(1 for value in values if _AMOUNT.match(value))
        if cell and values and amounts >= 0.8 * len(values) and not _AMOUNT.match(cell):
            return True
    if all(_IDENTIFIER.match(cell) for cell in named):
        return True
    return any(word in _USUAL for cell in named for word in _WORD.findall(cell.lower()))


def _are_labels(cells: Sequence[str]) -> bool:
    """Whether half of them are names of columns: then each row says what it is at its left."""
    given = [cell for cell in cells if cell]
    return bool(given) and 2 * sum(map(_is_label, given)) >= len(given)


def _is_label(cell: str) -> bool:
    """Whether it ends in a usual name of a column. A total is a row of a table as well."""
    last = _WORD.findall(cell.lower())[-1:]
    return bool(last) and last[0] in _USUAL and last[0] != "total"
