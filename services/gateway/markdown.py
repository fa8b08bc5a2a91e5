"""Answers as HTML that is safe to show: Markdown by markdown-it-py, then cleaned by nh3.

What a model writes is hostile until proven otherwise. HTML in it stays text, pictures are links, and what
the first library has made passes an allow-list of the second one: a fault of one alone lets nothing through.
Marks of citations ("[1]") stay text; the page makes ways to the sources of them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

# Longer texts are shown as they were written. A long answer of a model has 20,000.
MAX_CHARACTERS = 50_000
# Of blocks within blocks; each level of a list takes two.
MAX_DEPTH = 24
# Of computing, for all that is rendered into one response.
SECONDS = 1.0

_BLOCKS = ("blockquote", "br", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul")
_TABLES = ("table", "tbody", "td", "th", "thead", "tr")
_WORDS = ("a", "code", "em", "s", "strong")
_SCHEMES = frozenset(("http", "https", "mailto"))
_LINK = re.compile(rf"(?:{'|'.join(sorted(_SCHEMES))}):", re.IGNORECASE)
# The page's own headings: the title is the first, the question the second.
_OUTER_HEADING = 2
_LAST_HEADING = 6

_END = "end"


class _UnfitError(Exception):
    """The text is too deep, or takes too long."""


def _check(state: Any, *_: object) -> bool:
    """A rule before all others that takes nothing and ends what would not end soon.

    Below its limit of nesting markdown-it leaves blocks out; no word of an answer may vanish.
    """
    if state.level >= MAX_DEPTH or time.thread_time() > state.env[_END]:
        raise _UnfitError
    return False


def _check_block(state: StateBlock, line: int, _: int, silent: bool) -> bool:
    """The same for blocks. Ends an item of a list where a line is not indented as the item is: what agents
    write below a list follows without an empty line, and is no part of the last item.
    """
    _check(state)
    return silent and state.listIndent >= 0 and 0 <= state.sCount[line] < state.blkIndent


def _parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough.

    Without references: "[1]" is a mark of a citation, whatever else the text says of it. Without pictures:
    they would be loaded from elsewhere, or not at all. Lines stay lines, as while they were written.
    """
    options = {"html": False, "xhtmlOut": False, "breaks": True, "maxNesting": 2 * MAX_DEPTH}
    parser = MarkdownIt("commonmark", options)
    parser.enable(["table", "strikethrough"]).disable(["reference", "image", "html_block", "html_inline"])
    parser.block.ruler.before("table", "check", _check_block, {"alt": ["paragraph"]})
    parser.inline.ruler.before("text", "check", _check)
    # A link that leads nowhere stays as it was written.
    parser.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    return parser


_PARSER = _parser()
_CLEANER = nh3.Cleaner(
    tags=frozenset((*_BLOCKS, *_TABLES, *_WORDS)),
    clean_content_tags=set(),
    # Without a word for all tags, two would be let through on each.
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="noopener noreferrer",
    url_schemes=_SCHEMES,
    url_relative="deny",
)


class Renderer:
    """Renders the answers of one response within the time that it has for all of them."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._end = time.thread_time() + seconds

    def html(self, text: str) -> str | None:
        """The text as HTML, or None where it is too long, too deep or takes too long: shown as it is."""
        if len(text) > MAX_CHARACTERS:
            return None
        try:
            tokens = _PARSER.parse(text, {_END: self._end})
        except _UnfitError:
            return None
        _fit_headings(tokens)
        return _CLEANER.clean(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def _fit_headings(tokens: Sequence[Token]) -> None:
    """Puts the headings of an answer below those of the page, each at most one below the one before."""
    found = sorted({token.tag for token in tokens if token.type == "heading_open"})
    level = _OUTER_HEADING
    for token in tokens:
        if token.type == "heading_open":
            level = min(_OUTER_HEADING + 1 + found.index(token.tag), level + 1, _LAST_HEADING)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"
