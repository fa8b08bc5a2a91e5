"""What the styles of an OpenDocument text say of its words: how lists and headings are numbered, and which
text is raised or lowered.
"""

import re
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.numbering import Level
from services.vector.extraction.xml_tree import within

_KINDS: Final = {
    "1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "": "none",
}  # fmt: skip
_LEVELS: Final = frozenset({"text:list-level-style-number", "text:outline-level-style"})
_LISTS: Final = frozenset({"text:list-style", "text:outline-style"})
# The levels that a label names begin and end with a percent sign there.
_FORMATTED: Final = re.compile("%([1-9])%")
_LABEL_MAX: Final = 100
_PARENTS_MAX: Final = 20
# The name of the list of all headings, where its style has none.
OUTLINE: Final = "Outline"


class OpenStyles:
    """roots: the parts with styles, those of the document itself first."""

    def __init__(self, *roots: Element) -> None:
        self._levels: dict[str, dict[int, Level]] = {}
        self._styles: dict[str, Element] = {}
        self.outline = OUTLINE
        for root in roots:
            for group in root:
                if group.tag in ("office:automatic-styles", "office:styles"):
                    self._read(group)

    def levels(self, name: str) -> dict[int, Level]:
        """The levels of a list style."""
        return self._levels.get(name, {})

    def list_of(self, paragraph: Element) -> str | None:
        """The list style that the style of a paragraph names; "" says that it has none."""
        return self._said(paragraph, _list_style)

    def position(self, span: Element) -> int | None:
        """Raised (1), lowered (-1) or neither; None where that is not said."""
        said = self._said(span, _text_position)
        if said is None:
            return None
        height = said.split()[0] if said.split() else ""
        if height in ("super", "sub"):
            return 1 if height == "super" else -1
        return 0 if height.strip("-0%") == "" else -1 if height.startswith("-") else 1

    def _said(self, node: Element, of: Callable[[Element], str | None]) -> str | None:
        """What the node's style says, or the first of those above it that says anything."""
        name = node.get("text:style-name", "")
        for _ in range(_PARENTS_MAX):
            style = self._styles.get(name)
            if style is None:
                return None
            said = of(style)
            if said is not None:
                return said
            name = style.get("style:parent-style-name", "")
        return None

    def _read(self, group: Element) -> None:
        for node in group:
            name = node.get("style:name", "")
            if node.tag in _LISTS:
                if node.tag == "text:outline-style":
                    name = self.outline = name or OUTLINE
                self._levels.setdefault(name, _levels(node))
            elif node.tag == "style:style":
                self._styles.setdefault(name, node)


def _list_style(style: Element) -> str | None:
    return style.get("style:list-style-name")


def _text_position(style: Element) -> str | None:
    properties = within(style, "style:text-properties")
    return None if properties is None else properties.get("style:text-position")


def _levels(node: Element) -> dict[int, Level]:
    found: dict[int, Level] = {}
    for entry in node:
        at = number(entry.get("text:level"))
        if at is not None and 1 <= at <= 9:
            found[at - 1] = _level(entry, at) if entry.tag in _LEVELS else Level()
    return found


def _level(entry: Element, at: int) -> Level:
    kind = entry.get("style:num-format", "")
    shown = min(max(number(entry.get("text:display-levels")) or 1, 1), at) if kind else 0
    numbers = ".".join(f"%{level}" for level in range(at - shown + 1, at + 1))
    text = f"{entry.get('style:num-prefix', '')}{numbers}{entry.get('style:num-suffix', '')}"
    written = entry.get("style:num-list-format") or entry.get("loext:num-list-format")
    if written and kind:
        text = _FORMATTED.sub(r"%\1", written)
    start = number(entry.get("text:start-value"))
    return Level(_KINDS.get(kind, kind), text[:_LABEL_MAX], 1 if start is None else start)


def number(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and len(value) < 6 else None
