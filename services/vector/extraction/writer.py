"""What a format module writes into: text, with its structure recorded while it grows.

Blocks are separated by a blank line, rows and items by a line end. Every piece is normalised and counted,
so a document that unfolds beyond the limits stops early. Places say where the text stands in the source;
they never stop a document: beyond their limit they become coarser.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from services.vector.extraction.decoding import is_blank, normalise
from services.vector.extraction.errors import DocumentEmptyError, DocumentTooLargeError
from services.vector.extraction.model import Block, BlockKind, Extraction, Limits, Place, Span

LABEL_MAX: Final = 200
TITLE_MAX: Final = 500
PLACE_MAX: Final = 200
WARNING_MAX: Final = 300
WARNINGS_MAX: Final = 50
CELL_SEPARATOR: Final = " | "
# Text whose lines are counted gets a place this often, so that few bytes are counted for one line number.
LINES_EVERY: Final = 16 * 1024


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    return " ".join(text.split())


class TextWriter:
    """Collects an extraction. Every method may raise DocumentTooLargeError, or DocumentUnreadableError for
    a lone surrogate.
    """

    def __init__(
        self, limits: Limits, *, recognised: Mapping[int, str] | None = None, recognises: bool = False
    ) -> None:
        """recognised: text that was recognised in pictures of pages, by page from 0; recognises: whether the
        format may ask for more of it, by raising PicturesNeededError.
        """
        self.limits = limits
        self.recognised: Mapping[int, str] = recognised or {}
        self.recognises = recognises
        self.title: str | None = None
        self._parts: list[str] = []
        self._size = 0
        self._blocks: list[Block] = []
        self._pages: list[Span] = []
        self._places: list[Place] = []
        self._warnings: list[str] = []
        # Holds from the next text on.
        self._place: Place | None = None
        # Whether the next text is the first of a page.
        self._page_begins = False
        # The part of the document that is being read, and how many pages of parts there were.
        self._part = ""
        self._part_pages = 0
        # The last block, while it is one of lines that the next line may go on; its end is set when it ends.
        self._open: Block | None = None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def is_part(self) -> bool:
        """Whether a document within the document is being read."""
        return bool(self._part)

    @property
    def coarse(self) -> bool:
        """Whether half of the places are used up: what is left is for whole rows and pages."""
        return len(self._places) >= self.limits.places // 2

    def paragraph(self, text: str, *, goes_on: bool = False) -> None:
        """Prose; its own line ends are kept. goes_on: on the next line of the paragraph before."""
        self._write("\n" if goes_on else "\n\n", text.strip())

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

    def cells(self, cells: Sequence[tuple[str, str]], separator: str) -> None:
        """One table row as one line of (text, place) cells; a cell without a place stands where the one
        before it does.
        """
        texts = [one_line(normalise(text).replace("\ufeff", "")) for text, _ in cells]
        line = separator.join(texts)
        if not line.strip("| "):
            return
        skipped = len(line) - len(line.lstrip())
        line = line.strip()
        self._line(BlockKind.TABLE, line)
        at = self._size - len(line.encode("utf-8")) - skipped
        for text, (_, label) in zip(texts, cells, strict=True):
            if label and text:
                self._record(Place(at, self._named(label)))
            at += len(text.encode("utf-8")) + len(separator)

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
        number = self.begin_page("page")
        start = self._write("\n" if runs_on else "\n\n", text)
        span = Span(self._size if start is None else start, self._size)
        if not self._part:
            self._pages[number - 1] = span
        return span

    def begin_page(self, word: str) -> int:
        """What is written from here on stands on the next page, or slide, as `word` calls it; its number."""
        self.end_block()
        if self._part:
            self._part_pages += 1
            number = self._part_pages
        else:
            if self._pages:
                self._pages[-1] = replace(self._pages[-1], byte_end=self._size)
            self._pages.append(Span(self._size, self._size))
            self._page_begins = True
            number = len(self._pages)
        if number > self.limits.pages:
            raise DocumentTooLargeError.over(self.limits.pages, "pages")
        self.place(f"{word} {number}", page=number)
        return number

    def place(self, label: str, *, page: int = 0, line: int = 0) -> None:
        """The next text that is written stands there, and so does what follows it up to the next place."""
        self._place = Place(0, self._named(label), page, line)

    def verbatim(self, text: str) -> int:
        """The text as it is (normalised by the caller), for formats whose source is the text; its lines are
        counted. Returns the byte where it begins.
        """
        self.end_block()
        if not text:
            return self._size
        if self._size:
            self._push("\n\n")
        at = begin = self._size
        self.place("", line=1)
        self._settle()
        self._push(text)
        label = self._places[-1].label
        position, line = 0, 1
        while (after := text.find("\n", position + LINES_EVERY) + 1) > 0:
            piece = text[position:after]
            at += len(piece) if piece.isascii() else len(piece.encode("utf-8"))
            line += piece.count("\n")
            position = after
            self._record(Place(at, label, 0, line))
        return begin

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
        # The name of a part is a heading above those in it.
        level += 1 if self._part and kind is BlockKind.HEADING else 0
        self._blocks.append(Block(kind, byte_start, byte_end, level, label[:LABEL_MAX]))

    def warn(self, warning: str) -> None:
        """Says which text of the source is missing, for people. The last of many says that there are more."""
        if len(self._warnings) == WARNINGS_MAX:
            self._warnings[-1] = "and more"
            return
        shown = one_line(f"{self._part}: {warning}" if self._part else warning)
        self._warnings.append(shown.encode("utf-8", "replace").decode("utf-8")[:WARNING_MAX])

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A document within this one, under its name. What it wrote goes when it fails: the error is the
        caller's to judge.
        """
        if self._part:
            raise RuntimeError("a part has no parts")
        self.end_block()
        held = (len(self._parts), len(self._blocks), len(self._places), len(self._warnings), self._size)
        title = self.title
        shown = one_line(name)[: PLACE_MAX // 2]
        self.place(shown)
        self.heading(name, 1)
        self._part, self._part_pages = shown, 0
        before = self._size
        try:
            yield
            if self._size == before:
                raise DocumentEmptyError.because("the document has no text")
            self.end_block()
        except BaseException:
            parts, blocks, places, warnings, self._size = held
            del self._parts[parts:], self._blocks[blocks:], self._places[places:], self._warnings[warnings:]
            self._open = None
            raise
        finally:
            self._part, self._place, self.title = "", None, title

    def finish(self, media_type: str) -> Extraction:
        """The extraction. Raises DocumentEmptyError when nothing visible was written."""
        self.end_block()
        text = "".join(self._parts)
        if is_blank(text):
            missing = f" ({'; '.join(self._warnings)})" if self._warnings else ""
            raise DocumentEmptyError.because(f"the document has no text{missing}")
        if self._pages and self._pages[-1].byte_end < self._size:
            self._pages[-1] = replace(self._pages[-1], byte_end=self._size)
        title = one_line(normalise(self.title or ""))[:TITLE_MAX]
        return Extraction(
            text,
            title or None,
            media_type,
            tuple(self._pages),
            tuple(self._blocks),
            tuple(self._places),
            tuple(self._warnings),
        )

    def _line(self, kind: BlockKind, line: str, separator: str = "\n") -> None:
        if self._open is not None and self._open.kind is kind:
            line = normalise(line)
            if line:
                self._push(separator)
                self._settle()
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
        self._settle()
        self._push(text)
        return start

    def _named(self, label: str) -> str:
        """A place with the part that it is in."""
        if self._part:
            label = f"{self._part}, {label}" if label else self._part
        return label[:PLACE_MAX]

    def _settle(self) -> None:
        """The place that was announced begins here."""
        if self._place is not None:
            self._record(replace(self._place, byte_start=self._size))
            self._place = None
        if self._page_begins:
            self._pages[-1] = Span(self._size, self._size)
            self._page_begins = False

    def _record(self, place: Place) -> None:
        """The last place within the limit stands for all after it, so it says only what holds for them."""
        if self._places and self._places[-1].byte_start == place.byte_start:
            self._places[-1] = place
        elif len(self._places) < self.limits.places - 1:
            self._places.append(place)
        elif len(self._places) < self.limits.places:
            self._places.append(Place(place.byte_start, self._part))

    def _push(self, text: str) -> None:
        self._size += len(text) if text.isascii() else len(text.encode("utf-8"))
        if self._size > self.limits.text_bytes:
            raise DocumentTooLargeError.over(self.limits.text_bytes, "bytes of text")
        self._parts.append(text)
