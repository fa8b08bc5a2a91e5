"""HTML as readable text: headings, paragraphs, list items, preformatted text and table rows, in document
order.

Scripts, styles, templates and what is hidden by markup are left out. Items of numbered lists have their
numbers, pictures their alternative text; what is raised, lowered or a fraction is written so that it stays
one (see `scripts`). A table of data becomes one line a row with the cells joined by a bar; a cell that spans
rows or columns is repeated in each. A table that only arranges the page (it holds another table, sections,
long texts, or headings and lists without a cell that is marked as a head) is read like any other block.
"""

import re
from collections.abc import Callable
from html import escape
from typing import BinaryIO, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.vector.extraction.decoding import decode
from services.vector.extraction.descriptions import alternative
from services.vector.extraction.numbering import numeral
from services.vector.extraction.scripts import fraction, lowered, placed, raised
from services.vector.extraction.writer import TextWriter, one_line

_META: Final = re.compile(rb"<meta\b[^>]{0,512}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)
_META_XML: Final = re.compile(rb"\s*<\?xml\b[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})", re.I)
_META_WITHIN: Final = 4096
_DROPPED: Final = frozenset(
    {
        "head", "script", "style", "template", "noscript", "svg", "canvas", "iframe", "object", "embed",
        "audio", "video", "datalist", "title",
    }
)  # fmt: skip
_BLOCKS: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog",
        "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
        "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol",
        "optgroup", "option", "p", "pre", "search", "section", "select", "summary", "table", "tbody", "td",
        "tfoot", "th", "thead", "tr", "ul",
    }
)  # fmt: skip
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
# A table that holds one of these arranges the page.
_ARRANGED: Final = frozenset({"table", "form", "section", "article", "nav"})
# And so does one with these, unless it has heads of rows or columns; there each is an item of its cell.
_ITEMS: Final = frozenset({"li", "dt", "dd", "pre", *_HEADINGS})
_LISTS: Final = frozenset({"ul", "ol", "menu", "dir"})
_CELL_MAX: Final = 2000
_SPAN_MAX: Final = 1000
# Repeated cells of a table; beyond them nothing spans.
_REPEATED_MAX: Final = 200_000
_HIDDEN: Final = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
_UNNUMBERED: Final = re.compile(r"list-style(?:-type)?\s*:[^;]{0,100}\bnone\b", re.I)
_XHTML: Final = "http://www.w3.org/1999/xhtml"
# What XML may close where it opens it, and HTML reads on in; what holds such markup as text goes before it.
_CLOSED: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[(.*?)(?:\]\]>|\Z)|<(script|style)\b[^<>]*(?<!/)>.*?(?:</\2\s*>|\Z)"
    r"|<(title|script|style|iframe|textarea|noscript|noembed|noframes|xmp|template|object|canvas|audio|video"
    r"|datalist|h[1-6]|pre)\b([^<>]*)/>",
    re.I | re.S,
)
_SOFT_HYPHEN: Final = "\u00ad"
# Nested deeper, or longer, it is no exponent.
_SHIFTS_MAX: Final = 4
_SHIFTED_MAX: Final = 200
_FORMULA_DEPTH_MAX: Final = 40
_NUMBER: Final = re.compile(r"\s*([-+]?\d{1,6})\s*")


def read(source: BinaryIO, writer: TextWriter) -> None:
    data = source.read()
    head = data[:_META_WITHIN]
    declared = _META.search(head) or _META_XML.match(head)
    read_text(decode(data, declared[1].decode("ascii") if declared else None), writer)


def read_text(text: str, writer: TextWriter, *, book: bool = False) -> None:
    """What `read` does with bytes. book: a part of a book, which is XHTML; one that is only pictures has no
    text.
    """
    if book or text.lstrip("\ufeff \t\r\n").startswith("<?xml") or _XHTML in text[:_META_WITHIN]:
        text = _CLOSED.sub(_opened, text)
    tree = LexborHTMLParser(text.replace("\0", ""))
    title = tree.css_first("head > title")
    if title is not None:
        writer.title = _all_text(title)
        # It names the page, and its words often stand nowhere else.
        if all(_all_text(heading) != writer.title for heading in tree.css("h1")):
            writer.paragraph(writer.title)
    root = tree.body if book else tree.root
    if root is not None and not (book and not _all_text(root)):
        _Walk(writer).run(root)


def _opened(match: re.Match[str]) -> str:
    """An element that is closed where it opens, as HTML writes it; a CDATA section as text."""
    if match[1] is not None:
        return escape(match[1], quote=False)
    return f"<{match[3]}{match[4]}></{match[3]}>" if match[3] else match[0]


def _all_text(node: LexborNode) -> str:
    return one_line(node.text().replace(_SOFT_HYPHEN, ""))


def _own_text(node: LexborNode) -> str:
    """The text of a text node. Words are found without the hyphens that show only at the end of a line."""
    return node.text(deep=False).replace(_SOFT_HYPHEN, "")


def _alternative(picture: LexborNode) -> str:
    """The text that stands for a picture, apart from what is around it."""
    text = alternative((picture.attributes.get("alt") or "").replace(_SOFT_HYPHEN, ""))
    return text and f" {text} "


def _dropped(node: LexborNode, tag: str) -> bool:
    if tag in _DROPPED:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    style = attributes.get("style")
    return "hidden" in attributes or (style is not None and _HIDDEN.search(style) is not None)


class _Inline:
    """The text of one block while it is read, with what is raised and lowered in it."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._inked = False
        # Of what is open: where it begins, and whether it stays as it is.
        self._shifts: list[tuple[int, bool]] = []
        self._deeper = 0

    def append(self, text: str) -> None:
        self._pieces.append(text)
        self._inked = self._inked or not text.isspace()

    def enter(self, tag: str) -> None:
        if tag in ("sup", "sub"):
            if len(self._shifts) < _SHIFTS_MAX:
                # What stands before all else is the mark of a note.
                self._shifts.append((len(self._pieces), not self._inked))
            else:
                self._deeper += 1
        elif tag == "a" and self._shifts:
            # And so is a link.
            self._shifts[-1] = (self._shifts[-1][0], True)

    def leave(self, tag: str) -> None:
        if tag not in ("sup", "sub"):
            return
        if self._deeper:
            self._deeper -= 1
        elif self._shifts:
            start, plain = self._shifts.pop()
            text = "".join(self._pieces[start:])
            if not plain and len(text) <= _SHIFTED_MAX:
                attached = start > 0 and not self._pieces[start - 1][-1:].isspace()
                text = placed(text, 1 if tag == "sup" else -1, attached)
            self._pieces[start:] = [text]

    def take(self) -> str:
        """The text, which begins anew."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._shifts.clear()
        self._inked, self._deeper = False, 0
        return text


def _formula(node: LexborNode, depth: int = 0) -> str:
    """A formula of MathML on one line."""
    if depth > _FORMULA_DEPTH_MAX:
        return node.text()
    # Each operand, and whether it is a fraction; white space between them is of the source.
    operands: list[tuple[str, bool]] = []
    child = node.first_child
    while child is not None:
        tag = child.tag or "-"
        if tag == "-text":
            operands.append((_own_text(child), False))
        elif not tag.startswith(("-", "annotation")):
            operands.append((_formula(child, depth + 1), tag == "mfrac"))
        child = child.next
    write = _LAYOUTS.get(node.tag or "")
    held = [text.strip() for text, _ in operands if not text.isspace()]
    if write is not None and len(held) == write[0]:
        return write[1](*held)
    line: list[str] = []
    fraction_before = False
    for text, is_fraction in operands:
        # Two and a half is not 21/2.
        if (is_fraction or fraction_before) and line and line[-1][-1:].isalnum() and text[:1].isalnum():
            line.append(" ")
        line.append(text)
        fraction_before = is_fraction
    joined = "".join(line)
    return f"√({joined.strip()})" if node.tag == "msqrt" else joined


# How many operands an element of MathML has, and how they are written.
_LAYOUTS: Final[dict[str, tuple[int, Callable[..., str]]]] = {
    "mfrac": (2, fraction),
    "msup": (2, lambda base, above: base + raised(above)),
    "msub": (2, lambda base, below: base + lowered(below)),
    "msubsup": (3, lambda base, below, above: base + lowered(below) + raised(above)),
    "munderover": (3, lambda base, below, above: base + lowered(below) + raised(above)),
}


class _Numbers:
    """What the items of a numbered list are numbered by."""

    def __init__(self, node: LexborNode) -> None:
        attributes = node.attributes
        self._kind = attributes.get("type") or "1"
        self._step = -1 if "reversed" in attributes else 1
        start = _number(attributes.get("start"))
        if start is None:
            start = 1 if self._step > 0 else _items(node)
        self._next = start

    def marker(self, item: LexborNode) -> str:
        """What the next item begins with."""
        value = _number(item.attributes.get("value"))
        number = self._next if value is None else value
        self._next = number + self._step
        return f"{self._written(number)}. "

    def _written(self, number: int) -> str:
        text = str(number)
        if self._kind in ("a", "A") and number > 0:
            text = ""
            while number > 0:
                number, letter = divmod(number - 1, 26)
                text = chr(ord("a") + letter) + text
        elif self._kind in ("i", "I"):
            text = numeral(number, "lowerRoman") or text
        return text.upper() if self._kind in ("A", "I") else text


def _number(value: str | None) -> int | None:
    match = _NUMBER.fullmatch(value or "")
    return int(match[1]) if match else None


def _items(node: LexborNode) -> int:
    count = 0
    child = node.first_child
    while child is not None:
        count += child.tag == "li"
        child = child.next
    return count


class _Walk:
    """One pass over the tree with its own stack, so depth cannot exhaust Python's."""

    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        self._inline = _Inline()
        self._heading = 0
        # The lists that are open; None for one of bullets.
        self._lists: list[_Numbers | None] = []
        self._pre = 0
        self._defined = 0
        # What the next line of a list begins with.
        self._marker = ""

    def run(self, root: LexborNode) -> None:
        open_tags: list[str] = []
        following: list[LexborNode | None] = [root]
        while following:
            node = following[-1]
            if node is None:
                following.pop()
                if open_tags:
                    self._leave(open_tags.pop())
                continue
            following[-1] = node.next if len(following) > 1 else None
            tag = node.tag
            if tag == "-text":
                self._inline.append(_own_text(node))
            elif tag == "br":
                self._inline.append("\n" if self._pre else "\r")
            elif tag is not None and not tag.startswith("-") and not _dropped(node, tag):
                if tag == "img":
                    self._inline.append(_alternative(node))
                    continue
                if tag == "math":
                    self._inline.append(_formula(node))
                    continue
                if tag == "table" and self._data_table(node):
                    continue
                self._enter(tag, node)
                open_tags.append(tag)
                following.append(node.first_child)
        self._flush()

    def _enter(self, tag: str, node: LexborNode) -> None:
        if tag not in _BLOCKS:
            self._inline.enter(tag)
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag in _LISTS:
            plain = tag != "ol" or _UNNUMBERED.search(node.attributes.get("style") or "")
            self._lists.append(None if plain else _Numbers(node))
        elif tag == "li":
            numbers = self._lists[-1] if self._lists else None
            self._marker = "- " if numbers is None else numbers.marker(node)
        elif tag in ("dt", "dd"):
            self._defined += 1
            self._marker = "" if tag == "dt" else "  "
        elif tag == "pre":
            self._pre += 1

    def _leave(self, tag: str) -> None:
        if tag not in _BLOCKS:
            self._inline.leave(tag)
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = 0
        elif tag in _LISTS:
            self._lists.pop()
            if not self._lists:
                self._writer.end_block()
        elif tag in ("dt", "dd"):
            self._defined -= 1
        elif tag == "pre":
            self._pre -= 1

    def _flush(self) -> None:
        text = self._inline.take()
        if not text:
            return
        if self._pre:
            self._writer.code(text)
            return
        lines = [one_line(line) for line in text.split("\r")]
        text = "\n".join(line for line in lines if line)
        if not text:
            return
        if self._heading:
            self._writer.heading(text, self._heading)
        elif self._lists or self._defined:
            self._writer.list_item(text, max(0, len(self._lists) - 1), self._marker)
            self._marker = "  "
        else:
            self._writer.paragraph(text)

    def _data_table(self, table: LexborNode) -> bool:
        """Writes the table when it is one of data."""
        grid = _Grid.of(table)
        if grid is None:
            return False
        self._flush()
        if grid.caption:
            self._writer.paragraph(grid.caption)
        self._writer.table(grid.rows)
        return True


class _Grid:
    """The rows of a table, read until it proves to be one that arranges the page."""

    def __init__(self) -> None:
        self.caption = ""
        self.rows: list[list[str]] = []
        # The row that is being read: text, rowspan and colspan of its cells.
        self._cells: list[tuple[str, int, int]] | None = None
        # The cell or caption that is being read, and its size.
        self._text: _Inline | None = None
        self._size = 0
        self._repeated = 0
        self._has_heads = False
        self._has_items = False
        # column -> (rows still to fill, text)
        self._spanning: dict[int, tuple[int, str]] = {}

    @classmethod
    def of(cls, table: LexborNode) -> "_Grid | None":
        """None for a table that arranges the page, or has only one column."""
        grid = cls()
        opened: list[str] = []
        following: list[LexborNode | None] = [table.first_child]
        while following:
            node = following[-1]
            if node is None:
                following.pop()
                if opened:
                    grid._leave(opened.pop())
                continue
            following[-1] = node.next
            tag = node.tag or "-"
            if tag == "-text":
                grid._append(_own_text(node))
            elif not tag.startswith("-") and not _dropped(node, tag):
                if tag in ("img", "math"):
                    grid._append(_alternative(node) if tag == "img" else _formula(node))
                    continue
                if tag in _ARRANGED:
                    return None
                grid._enter(tag, node)
                opened.append(tag)
                following.append(node.first_child)
            if grid._size > _CELL_MAX:
                return None
        if grid._has_items and not grid._has_heads:
            return None
        return grid if any(len(row) > 1 for row in grid.rows) else None

    def _append(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
            self._size += len(text)

    def _enter(self, tag: str, node: LexborNode) -> None:
        if tag == "tr":
            self._cells = []
        elif tag == "caption":
            self._text, self._size = _Inline(), 0
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append(("", _span_of(node, "rowspan"), _span_of(node, "colspan")))
            self._text, self._size = _Inline(), 0
            self._has_heads = self._has_heads or tag == "th"
        elif tag == "br" or tag in _BLOCKS:
            self._part(tag)
        elif self._text is not None:
            self._text.enter(tag)

    def _leave(self, tag: str) -> None:
        if tag == "tr" and self._cells is not None:
            self._add(self._cells)
            self._cells = None
        elif tag == "caption":
            self.caption, self._text = one_line(self._text.take() if self._text else ""), None
        elif tag in ("td", "th") and self._cells and self._text is not None:
            self._cells[-1] = (_joined(self._text.take()), *self._cells[-1][1:])
            self._text = None
        elif tag in _BLOCKS:
            self._part(tag)
        elif self._text is not None:
            self._text.leave(tag)

    def _part(self, tag: str) -> None:
        """What comes next in the cell is not joined to what was before."""
        if tag in _ITEMS:
            self._has_items = True
            self._append("\r")
        else:
            self._append(" ")

    def _add(self, cells: list[tuple[str, int, int]]) -> None:
        """One row, with the cells that span into it from above or from the left at their places."""
        row: list[str] = []
        # A cell that is the whole row names no column.
        if len(cells) == 1 and not self._spanning:
            cells = [(*cells[0][:2], 1)]
        given = iter(cells)
        # How many columns the cell goes on for.
        across = 0
        text, down = "", 1
        while True:
            left, above = self._spanning.pop(len(row), (0, ""))
            if left:
                across = 0
                self._span(len(row), left - 1, above)
                row.append(above)
                continue
            if across:
                across -= 1
            else:
                cell = next(given, None)
                if cell is None:
                    break
                text, down, across = cell
                across = max(0, min(across - 1, _REPEATED_MAX - self._repeated))
                self._repeated += across
            self._span(len(row), down - 1, text)
            row.append(text)
        self.rows.append(row)

    def _span(self, column: int, rows: int, text: str) -> None:
        """The text stands in that column of the next rows, too."""
        if rows > 0 and self._repeated < _REPEATED_MAX:
            self._repeated += 1
            self._spanning[column] = (rows, text)


def _joined(text: str) -> str:
    """The items of a cell on one line."""
    line = ""
    for item in filter(None, map(one_line, text.split("\r"))):
        line += item if not line else f" {item}" if line.endswith(":") else f"; {item}"
    return line


def _span_of(cell: LexborNode, attribute: str) -> int:
    value = (cell.attributes.get(attribute) or "").strip()
    if value.isdecimal() and value.isascii() and len(value) < 6:
        return max(1, min(int(value), _SPAN_MAX))
    return 1
