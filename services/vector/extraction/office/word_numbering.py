"""Numbered lists of Word documents (ECMA-376 part 1, 17.9): a paragraph names a list and a level, the list
an abstract one, which has the levels. Lists of one abstract list go on counting where the one before stopped,
save where they say that they begin anew.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.numbering import Counters, Level

_OFF: Final = frozenset({"0", "false", "off"})
_LABEL_MAX: Final = 100


class WordNumbering:
    """root: the numbering part; style_lists: style -> the list that it names."""

    def __init__(self, root: Element | None, style_lists: Mapping[str, str]) -> None:
        self._levels: dict[str, dict[int, Level]] = {}
        self._styled: dict[str, dict[str, int]] = {}
        self._abstract: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._replaced: dict[str, dict[int, Level]] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._of_list: dict[str, dict[int, Level]] = {}
        self._counters: dict[str, Counters] = {}
        self._begun: set[tuple[str, int]] = set()
        self._style_lists = style_lists
        for node in root if root is not None else ():
            if node.tag == "w:abstractNum":
                self._read_abstract(node)
            elif node.tag == "w:num":
                self._read_list(node)

    def level_of_style(self, list_id: str, style: str) -> int:
        """The level that a style stands for, which names its list alone."""
        return self._styled.get(self._abstract_of(list_id), {}).get(style, 0)

    def count(self, list_id: str, level: int) -> str:
        """Counts a paragraph; what it shows before its text, "" for a bullet."""
        abstract = self._abstract_of(list_id)
        counters = self._counters.setdefault(abstract, Counters())
        start = self._starts.get(list_id, {}).get(level)
        if start is not None and (list_id, level) not in self._begun:
            self._begun.add((list_id, level))
            counters.begin(level, start)
        return counters.count(self._levels_of(list_id, abstract), level)

    def _abstract_of(self, list_id: str) -> str:
        abstract = self._abstract.get(list_id, "")
        linked = self._links.get(abstract)
        if linked is not None:
            return self._abstract.get(self._style_lists.get(linked, ""), abstract)
        return abstract

    def _levels_of(self, list_id: str, abstract: str) -> dict[int, Level]:
        levels = self._of_list.get(list_id)
        if levels is None:
            levels = {**self._levels.get(abstract, {}), **self._replaced.get(list_id, {})}
            for at, start in self._starts.get(list_id, {}).items():
                levels[at] = replace(levels.get(at, Level()), start=start)
            self._of_list[list_id] = levels
        return levels

    def _read_abstract(self, node: Element) -> None:
        abstract = node.get("w:abstractNumId", "")
        levels = self._levels[abstract] = {}
        styled = self._styled[abstract] = {}
        for entry in node.findall("w:lvl"):
            at = _level_number(entry)
            if at is not None:
                levels[at] = _level(entry)
                styled[_value(entry, "w:pStyle")] = at
        link = _value(node, "w:numStyleLink")
        if link:
            self._links[abstract] = link

    def _read_list(self, node: Element) -> None:
        list_id = node.get("w:numId", "")
        self._abstract[list_id] = _value(node, "w:abstractNumId")
        for entry in node.findall("w:lvlOverride"):
            at = _level_number(entry)
            if at is None:
                continue
            replaced = entry.find("w:lvl")
            if replaced is not None:
                self._replaced.setdefault(list_id, {})[at] = _level(replaced)
            start = _number(entry, "w:startOverride")
            if start is not None:
                self._starts.setdefault(list_id, {})[at] = start


def _level(node: Element) -> Level:
    start = _number(node, "w:start")
    legal = node.find("w:isLgl")
    return Level(
        kind=_value(node, "w:numFmt") or "decimal",
        text=_value(node, "w:lvlText")[:_LABEL_MAX],
        start=0 if start is None else start,
        legal=legal is not None and legal.get("w:val", "true") not in _OFF,
        restart=_number(node, "w:lvlRestart"),
    )


def _level_number(node: Element) -> int | None:
    value = node.get("w:ilvl", "")
    return int(value) if len(value) == 1 and value in "012345678" else None


def _value(node: Element, name: str) -> str:
    found = node.find(name)
    return found.get("w:val", "") if found is not None else ""


def _number(node: Element, name: str) -> int | None:
    value = _value(node, name)
    return int(value) if value.isdecimal() and len(value) < 6 else None
