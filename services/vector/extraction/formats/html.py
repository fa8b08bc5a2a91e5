"""HTML as readable text: headings, paragraphs, list items, preformatted text and table rows, in document
order.

Scripts, styles, templates and what is hidden by markup are left out. A table of data becomes one line a row
with the cells joined by a bar; a cell that spans rows is repeated in each. A table that only arranges the
page (it holds another table, headings, lists or long texts) is read like any other block.
"""

import re
from typing import BinaryIO, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.vector.extraction.decoding import decode
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
_ARRANGED: Final = frozenset(
    {"table", "ul", "ol", "dl", "pre", "form", "section", "article", "nav", *_HEADINGS}
)
_CELL_MAX: Final = 2000
_SPAN_MAX: Final = 1000
_HIDDEN: Final = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)


def read(source: BinaryIO, writer: TextWriter) -> None:
    data = source.read()
    head = data[:_META_WITHIN]
    declared = _META.search(head) or _META_XML.match(head)
    read_text(decode(data, declared[1].decode("ascii") if declared else None), writer)


def read_text(text: str, writer: TextWriter) -> None:
    """What `read` does with bytes."""
    tree = LexborHTMLParser(text.replace("\0", ""))
    title = tree.css_first("head > title")
    if title is not None:
        writer.title = one_line(title.text())
        # It names the page, and its words often stand nowhere else.
        if all(one_line(heading.text()) != writer.title for heading in tree.css("h1")):
            writer.paragraph(writer.title)
    root = tree.root
    if root is not None:
        _Walk(writer).run(root)


def _dropped(node: LexborNode, tag: str) -> bool:
    if tag in _DROPPED:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    style = attributes.get("style")
    return "hidden" in attributes or (style is not None and _HIDDEN.search(style) is not None)


class _Walk:
    """One pass over the tree with its own stack, so depth cannot exhaust Python's."""

    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        self._inline: list[str] = []
        self._heading = 0
        self._lists = 0
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
                self._inline.append(node.text(deep=False))
            elif tag == "br":
                self._inline.append("\n" if self._pre else "\r")
            elif tag is not None and not tag.startswith("-") and not _dropped(node, tag):
                if tag == "table" and self._data_table(node):
                    continue
                self._enter(tag)
                open_tags.append(tag)
                following.append(node.first_child)
        self._flush()

    def _enter(self, tag: str) -> None:
        if tag not in _BLOCKS:
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag in ("ul", "ol", "menu", "dir"):
            self._lists += 1
        elif tag == "li":
            self._marker = "- "
        elif tag in ("dt", "dd"):
            self._defined += 1
            self._marker = "" if tag == "dt" else "  "
        elif tag == "pre":
            self._pre += 1

    def _leave(self, tag: str) -> None:
        if tag not in _BLOCKS:
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = 0
        elif tag in ("ul", "ol", "menu", "dir"):
            self._lists -= 1
            if not self._lists:
                self._writer.end_block()
        elif tag in ("dt", "dd"):
            self._defined -= 1
        elif tag == "pre":
            self._pre -= 1

    def _flush(self) -> None:
        if not self._inline:
            return
        text = "".join(self._inline)
        self._inline.clear()
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
            self._writer.list_item(text, max(0, self._lists - 1), self._marker)
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
        # The row that is being read: text and rowspan of its cells.
        self._cells: list[tuple[str, int]] | None = None
        # The cell or caption that is being read, and its size.
        self._text: list[str] | None = None
        self._size = 0
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
                grid._append(node.text(deep=False))
            elif not tag.startswith("-") and not _dropped(node, tag):
                if tag in _ARRANGED:
                    return None
                grid._enter(tag, node)
                opened.append(tag)
                following.append(node.first_child)
            if grid._size > _CELL_MAX:
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
            self._text, self._size = [], 0
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append(("", _span_of(node)))
            self._text, self._size = [], 0
        elif tag == "br" or tag in _BLOCKS:
            self._append(" ")

    def _leave(self, tag: str) -> None:
        if tag == "tr" and self._cells is not None:
            self._add(self._cells)
            self._cells = None
        elif tag == "caption":
            self.caption, self._text = one_line("".join(self._text or ())), None
        elif tag in ("td", "th") and self._cells and self._text is not None:
            self._cells[-1] = (one_line("".join(self._text)), self._cells[-1][1])
            self._text = None
        elif tag in _BLOCKS:
            self._append(" ")

    def _add(self, cells: list[tuple[str, int]]) -> None:
        """One row, with the cells that span into it from above at their places."""
        row: list[str] = []
        given = iter(cells)
        while True:
            left, text = self._spanning.get(len(row), (0, ""))
            if left:
                self._spanning[len(row)] = (left - 1, text)
            else:
                cell = next(given, None)
                if cell is None:
                    break
                text, span = cell
                if span > 1:
                    self._spanning[len(row)] = (span - 1, text)
            row.append(text)
        self.rows.append(row)


def _span_of(cell: LexborNode) -> int:
    value = (cell.attributes.get("rowspan") or "").strip()
    return min(int(value), _SPAN_MAX) if value.isdecimal() and value.isascii() and len(value) < 6 else 1
