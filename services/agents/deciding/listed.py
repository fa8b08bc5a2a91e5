"""Options and criteria that a text lists plainly, under a label of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.agents.deciding.matrix import Better, Stated

_LABELS = {
    "options": re.compile(
        r"(?:^|(?<=[\s(]))(?:options?|alternatives|choices|candidates)\s*:[ \t]*", re.IGNORECASE
    ),
    "criteria": re.compile(r"(?:^|(?<=[\s(]))(?:criteria|criterion)\s*:[ \t]*", re.IGNORECASE),
}
_ITEM = re.compile(r"^[ \t]*(?:[-*•–+]|\(?\d{1,2}[.)]|[a-zA-Z][.)])[ \t]+(.+)$")
# The end of a list in a line: a sentence that ends, or the next label.
_STOP = re.compile(
    r"[.!?](?=\s|$)|\n|$|(?=\b(?:options?|alternatives|choices|candidates|criteria)\s*:)", re.I
)
_BETWEEN = re.compile(r"\s*[;,]\s*(?:(?:and|or)\s+)?(?![^()]*\))|\s+(?:and|or)\s+(?![^()]*\))", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\(([^()]*)\)\s*$")
_WEIGHT = re.compile(
    r"\bweight(?:ed)?\s*(?:of|[:=])?\s*(\d+(?:\.\d+)?)|^\s*(\d+(?:\.\d+)?)\s*$", re.IGNORECASE
)
_DIRECTION = re.compile(r"\b(higher|more|lower|less|fewer)\b(?:\s+is\s+better)?", re.IGNORECASE)
_MAX_ITEM = 100
_MAX_LIST = 4_000


def read_options(text: str, stated: Stated) -> None:
    """Adds the options that a text lists behind "Options:"."""
    for item in _items(text, _LABELS["options"]):
        stated.option(item, "$.message")


def read_criteria(text: str, stated: Stated) -> None:
    """Adds the criteria that a text lists behind "Criteria:". One may have in brackets its weight, which
    scores are better, and its unit.
    """
    for item in _items(text, _LABELS["criteria"]):
        brackets = _BRACKETS.search(item)
        name = item[: brackets.start()] if brackets else item
        said = [part.strip() for part in brackets[1].split(",")] if brackets else []
        if name:
            stated.criterion(name, "$.message", **_said(said))


def _items(text: str, label: re.Pattern[str]) -> Iterator[str]:
    found = label.search(text)
    if found is None:
        return
    rest = text[found.end() : found.end() + _MAX_LIST]
    stop = _STOP.search(rest)
    line = rest[: stop.start() if stop else len(rest)].strip()
    items = _BETWEEN.split(line) if line else list(_lines(rest))
    yield from (item.strip(" .\"“”'") for item in items if 0 < len(item.strip(" .")) <= _MAX_ITEM)


def _lines(rest: str) -> Iterator[str]:
    """The items of a list with a line for each, directly below its label."""
    for line in rest.lstrip().splitlines():
        item = _ITEM.match(line)
        if item is None:
            return
        yield item[1].strip()


def _said(parts: list[str]) -> dict[str, object]:
    """What the words in a criterion's brackets say."""
    said: dict[str, object] = {}
    for part in parts:
        if weight := _WEIGHT.search(part):
            said["weight"] = float(weight[1] or weight[2])
        elif direction := _DIRECTION.search(part):
            more = direction[1].casefold() in ("higher", "more")
            said["better"] = Better.HIGHER if more else Better.LOWER
        elif part:
            said["unit"] = part
    return said
