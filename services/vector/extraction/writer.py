"""What a format module writes into: text, with its structure recorded while it grows.

Blocks are separated by a blank line, rows and items by a line end. Every piece is normalised and counted,
so a document that unfolds beyond the limits stops early.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from services.vector.extraction.decoding import is_blank, normalise
from services.vector.extraction.errors import DocumentEmptyError, DocumentTooLargeError
from services.vector.extraction.model import Block, BlockKind, Extraction, Limits, Span

LABEL_MAX: Final = 200
TITLE_MAX: Final = 500
CELL_SEPARATOR: Final = " | "


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    return " ".join(text.split())


class TextWriter:
    """Collects an extraction. Every method may raise DocumentTooLargeError, or DocumentUnreadableError for
    a lone surrogate.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.title: str | None = None
        self._parts: list[str] = []
        self._size = 0
        self._blocks: list[Block] = []
        self._pages: list[Span] = []
        # The last block, while it is one of lines that the next line may go on; its end is set when it ends.
        self._open: Block | None = None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    def paragraph(self, text: str) -> None:
        """Prose; its own line ends are kept."""
        self._write("\n\n", text.strip())

    def heading(self, text: str, level: int) -> None:
        """A heading, made one line; `level` starts at 1."""
        line = one_line(text)
        start = self._write("\n\n", line)
        if start is not None:
            self.mark(BlockKind.HEADING, start, self._size, level=level, label=line)

    def list_item(self, text: str, depth: int = 0, marker: str = "- ") -> None:
        """One item as one line, indented by its depth; items in a row are one block."""
        line = one_line(text)
        if line:
            self._line(BlockKind.LIST, "  " * min(depth, 8) + marker + line)

    def row(self, cells: Sequence[str]) -> None:
        """One table row as one line, its cells joined by a bar; rows in a row are one block."""
        line = CELL_SEPARATOR.join(one_line(cell) for cell in cells).strip()
        if line.strip("| "):
            self._line(BlockKind.TABLE, line)

    def line(self, kind: BlockKind, text: str, *, apart: bool = False) -> None:
        """One line of a block of lines, as it is; `apart` puts a blank line before it, in the same block."""
        if text and not text.isspace():
            self._line(kind, text.rstrip(), "\n\n" if apart else "\n")

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """A table of its own, not joined to one right before it."""
        self.end_block()
        for cells in rows:
            self.row(cells)
        self.end_block()

    def code(self, text: str) -> None:
        """Text whose line ends and spaces mean something."""
        start = self._write("\n\n", text.strip("\r\n").rstrip())
        if start is not None:
            self.mark(BlockKind.CODE, start, self._size)

    def page(self, text: str) -> Span:
        """The text of one page. A sentence that runs over the page end is not cut by a blank line."""
        text = text.strip()
        runs_on = bool(self._parts and text) and text[0].islower() and self._parts[-1][-1:] not in ".!?:"
        start = self._write("\n" if runs_on else "\n\n", text)
        span = Span(self._size if start is None else start, self._size)
        self._pages.append(span)
        if len(self._pages) > self.limits.pages:
            raise DocumentTooLargeError.over(self.limits.pages, "pages")
        return span

    def verbatim(self, text: str) -> None:
        """The text as it is (normalised by the caller), for formats whose source is the text."""
        self._write("", text)

    def end_block(self) -> None:
        """Ends a list or table: the next item or row begins a new block."""
        if self._open is not None:
            self._blocks[-1] = replace(self._open, byte_end=self._size)
            self._open = None

    def mark(
        self, kind: BlockKind, byte_start: int, byte_end: int, *, level: int = 0, label: str = ""
    ) -> None:
        """Records a block over text that is written. Calls come in order of position."""
        if len(self._blocks) >= self.limits.blocks:
            raise DocumentTooLargeError.over(self.limits.blocks, "blocks")
        self._blocks.append(Block(kind, byte_start, byte_end, level, label[:LABEL_MAX]))

    def finish(self, media_type: str) -> Extraction:
        """The extraction. Raises DocumentEmptyError when nothing visible was written."""
        self.end_block()
        text = "".join(self._parts)
        if is_blank(text):
            raise DocumentEmptyError.because("the document has no text")
        title = one_line(normalise(self.title or ""))[:TITLE_MAX]
        return Extraction(text, title or None, media_type, tuple(self._pages), tuple(self._blocks))

    def _line(self, kind: BlockKind, line: str, separator: str = "\n") -> None:
        if self._open is not None and self._open.kind is kind:
            line = normalise(line)
            if line:
                self._push(separator)
                self._push(line)
            return
        start = self._write("\n\n", line)
        if start is not None:
            self.mark(kind, start, self._size)
            self._open = self._blocks[-1]

    def _write(self, separator: str, text: str) -> int | None:
        """Appends and gives the byte where `text` begins, or None when it is empty."""
        text = normalise(text)
        if not text:
            return None
        self.end_block()
        if self._size and separator:
            self._push(separator)
        start = self._size
        self._push(text)
        return start

    def _push(self, text: str) -> None:
        self._size += len(text) if text.isascii() else len(text.encode("utf-8"))
        if self._size > self.limits.text_bytes:
            raise DocumentTooLargeError.over(self.limits.text_bytes, "bytes of text")
        self._parts.append(text)
