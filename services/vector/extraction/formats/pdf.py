"""PDF: the text layer, page by page (pypdf, whose own limits stay in force).

A word that is hyphenated at a line end is joined only where the document itself shows that this is right: the
joined word occurs in it elsewhere and the hyphenated form does not, or the hyphen is a soft one. Ligatures
are written out. Cells of a table that stand side by side are one line, in the order of its columns. Values of
a form, text that was typed onto a page and notes follow the text of their page. Bookmarks whose title stands
as a line on their page mark that line as a heading.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, LimitReachedError, PyPdfError

from services.vector.extraction.decoding import is_blank, normalise
from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
)
from services.vector.extraction.framing import PICTURES_MAX
from services.vector.extraction.model import BlockKind
from services.vector.extraction.needs import Picture, PicturesNeededError
from services.vector.extraction.pages.notes import notes_of
from services.vector.extraction.pages.pictures import has_pictures, pictures_of
from services.vector.extraction.pages.rows import text_with_rows
from services.vector.extraction.pages.scans import stamped_scans
from services.vector.extraction.writer import TextWriter, one_line

# The end record stands in the last 1,024 bytes, apart from padding.
_TAIL: Final = 2048
_LIGATURES: Final = {
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
}  # fmt: skip
_BROKEN_WORD: Final = re.compile(r"([^\W\d_]{2,40})(-|\u2010|\u00ad)[ \t]*\n[ \t]*([^\W\d_]{2,40})")
_WORD: Final = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_LINE_SPACE: Final = re.compile(r"[ \t\u00a0]+(?=\n|$)")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_TITLE_NOISE: Final = re.compile(
    r"(?i)untitled|microsoft (word|powerpoint) - |.*\.(docx?|pdf|tex|dvi|indd|pptx?)$|[\W\d_]*$"
)
_MORE_LEVELS: Final = 6
# Pages that a warning names.
_NAMED_MAX: Final = 20
# Bytes of a page that draws something.
_DRAWING_MIN: Final = 2_000


def read(source: BinaryIO, writer: TextWriter) -> None:
    # pypdf reports oddities of a file as warnings; what matters comes as an exception.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    _require_end(source)
    try:
        _read(source, writer)
    except LimitReachedError as error:
        raise _limit(error) from error
    except DependencyError as error:
        raise DocumentUnreadableError.because(
            "encrypted with AES, and no AES library is installed"
        ) from error
    except PyPdfError as error:
        raise DocumentUnreadableError.because(f"broken PDF: {error}") from error


def _limit(error: LimitReachedError) -> DocumentTooLargeError:
    number = re.search(r"\d{4,}", str(error))
    limit = number[0] if number else ""
    return DocumentTooLargeError(
        f"the PDF unfolds too far: {error}", {"limit": limit, "unit": "bytes or entries in the PDF"}
    )


def _require_end(source: BinaryIO) -> None:
    """A file that was cut off would be read without its last pages."""
    size = source.seek(0, 2)
    source.seek(max(0, size - 1024 * 1024))
    tail = source.read().rstrip(b"\0 \t\r\n")
    if b"startxref" not in tail[-_TAIL:] and b"%%EOF" not in tail[-_TAIL:]:
        raise DocumentUnreadableError.because("the PDF has no end: it is truncated")
    source.seek(0)


def _read(source: BinaryIO, writer: TextWriter) -> None:
    reader = PdfReader(source, strict=False)
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise DocumentUnreadableError.because("encrypted: a password is needed")
    count = len(reader.pages)
    if count > writer.limits.pages:
        raise DocumentTooLargeError.over(writer.limits.pages, "pages")
    pages: list[str] = []
    notes: list[str] = []
    cut: list[int] = []
    size = 0
    for number, page in enumerate(reader.pages, start=1):
        text = _clean(text_with_rows(page.extract_text))
        lines, whole = notes_of(page, text)
        if not whole:
            cut.append(number)
        pages.append(text)
        notes.append(_clean("\n".join(lines)))
        size += len(text) + len(notes[-1])
        if size > writer.limits.text_bytes:
            raise DocumentTooLargeError.over(writer.limits.text_bytes, "bytes of text")
    if cut:
        writer.warn(f"some fields or notes of page {_named(cut)} are missing")
    pages = _recognised(reader, pages, notes, writer)
    pages = ["\n\n".join(part for part in parts if part) for parts in zip(pages, notes, strict=True)]
    words = _Words(pages)
    headings = _bookmarks(reader)
    for number, text in enumerate(pages):
        _write_page(writer, words.join_broken(text), headings.get(number, []))
    writer.title = _title(reader)


def _recognised(reader: PdfReader, pages: list[str], notes: list[str], writer: TextWriter) -> list[str]:
    """The pages with what was recognised in pictures of those that have no text or hardly any.

    Raises PicturesNeededError when nobody has tried yet, DocumentEmptyError when no page has text or notes.
    """
    empty = [number for number, text in enumerate(pages) if is_blank(text)]
    silent = [number for number in empty if has_pictures(reader.pages[number])]
    stamped = stamped_scans(reader.pages, pages)
    if (silent or stamped) and writer.recognises and not writer.is_part:
        raise PicturesNeededError(_pictures(reader, sorted([*silent, *stamped]), writer))
    for number in [*empty, *stamped]:
        parts = pages[number], _clean(writer.recognised.get(number, ""))
        pages[number] = "\n\n".join(part for part in parts if not is_blank(part))
    unread = [number + 1 for number in silent if is_blank(pages[number])]
    if all(is_blank(text) for text in [*pages, *notes]):
        raise DocumentEmptyError.because(
            "the PDF has pictures of pages but no text; it needs text recognition"
            + ("" if not writer.recognised else ", which found none")
        )
    drawn = [number + 1 for number in empty if number not in silent and _draws(reader.pages[number])]
    if drawn:
        writer.warn(f"page {_named(drawn)} has drawings and no text")
    if unread:
        writer.warn(
            f"the text of page {_named(unread)} is missing: only a picture, and no text was recognised in it"
        )
    unseen = [number + 1 for number in stamped if is_blank(writer.recognised.get(number, ""))]
    if unseen:
        writer.warn(f"page {_named(unseen)} shows a picture, and no text was recognised in it")
    return pages


def _named(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:_NAMED_MAX])) + (" and more" if len(numbers) > _NAMED_MAX else "")


def _draws(page: Any) -> bool:
    """Whether more stands on a page than a frame or a line, such as text that was turned into curves."""
    contents = page.get_contents()
    return contents is not None and len(contents.get_data()) > _DRAWING_MIN


def _pictures(reader: PdfReader, numbers: list[int], writer: TextWriter) -> list[Picture]:
    pictures: list[Picture] = []
    size = 0
    for number in numbers:
        for picture in pictures_of(reader.pages[number], number):
            size += len(picture.data)
            if size > writer.limits.picture_bytes or len(pictures) >= PICTURES_MAX:
                return pictures
            pictures.append(picture)
    return pictures


def _clean(text: str) -> str:
    """Ligatures written out, no space at line ends, broken surrogate pairs joined or replaced."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").translate(_LIGATURES)
    text = _LINE_SPACE.sub("", normalise(text))
    return _BLANK_LINES.sub("\n\n", text).strip()


class _Words:
    """The words of a document, which decide whether a hyphen at a line end belongs to the word."""

    def __init__(self, pages: list[str]) -> None:
        self._known: set[str] = set()
        for text in pages:
            self._known.update(word.lower() for word in _WORD.findall(_BROKEN_WORD.sub(" ", text)))

    def join_broken(self, text: str) -> str:
        return _BROKEN_WORD.sub(self._joined, text)

    def _joined(self, match: re.Match[str]) -> str:
        first, hyphen, second = match[1], match[2], match[3]
        joined = first + second
        if hyphen == "\u00ad":
            return joined
        if (
            second[0].islower()
            and joined.lower() in self._known
            and f"{first}-{second}".lower() not in self._known
        ):
            return joined
        return match[0]


def _bookmarks(reader: PdfReader) -> dict[int, list[tuple[str, int]]]:
    """Page index -> titles with their level. A broken outline is no reason to refuse the text."""
    found: dict[int, list[tuple[str, int]]] = {}
    try:
        for entry, level in _flat(reader.outline):
            page = reader.get_destination_page_number(entry)
            title = one_line(str(entry.title or ""))
            if page is not None and page >= 0 and title:
                found.setdefault(page, []).append((title, min(level, _MORE_LEVELS)))
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return found
    return found


def _flat(outline: list[Any]) -> Iterator[tuple[Any, int]]:
    """Entries of pypdf's nested lists with their depth."""
    stack = [iter(outline)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, list):
            stack.append(iter(entry))
        else:
            yield entry, len(stack)


def _write_page(writer: TextWriter, text: str, bookmarks: list[tuple[str, int]]) -> None:
    span = writer.page(text)
    if not bookmarks:
        return
    levels = {_key(title): (title, level) for title, level in bookmarks}
    start = span.byte_start
    for line in text.split("\n"):
        size = len(line.encode("utf-8"))
        found = levels.pop(_key(line), None) if line else None
        if found is not None:
            writer.mark(BlockKind.HEADING, start, start + size, level=found[1], label=found[0])
        start += size + 1


def _key(line: str) -> str:
    """Letters only: a line has its number ("2.1 Scope") where the bookmark may have none."""
    return "".join(char for char in line.lower() if char.isalpha())


def _title(reader: PdfReader) -> str | None:
    try:
        title = reader.metadata.title if reader.metadata else None
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError):
        return None
    title = one_line(str(title or "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return None if _TITLE_NOISE.match(title) else title
