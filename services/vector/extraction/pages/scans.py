"""Pages of a PDF that are scans though they have text: a stamp, a number or a line of a fax upon a picture.

A slide with its title upon a background is drawn alike, and so is a cover. What tells them apart: a scan is
in grey or in black and white, or most pages are scans with the same stamp or with none; and the picture of a
scan is on no other page.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from pypdf.errors import PyPdfError
from pypdf.generic import ContentStream

from services.vector.extraction.decoding import is_blank
from services.vector.extraction.pages.pictures import images_of, is_grey, is_picture, objects_of

# Characters that are seen; a page of text has more, and so has one whose text was recognised.
_TEXT_MAX: Final = 200
# Bytes; what draws more than a picture and a stamp is longer. Each form counts for some.
_DRAWN_MAX: Final = 50_000
_DRAWN_FORM: Final = 100
_DEPTH_MAX: Final = 4
# Of all pictures of a page: A4 at 72 dots an inch has half a million.
_PIXELS_MIN: Final = 500_000
_COVERED_MIN: Final = 0.75
# Modes of text that is there to be found and copied (ISO 32000-2, 9.3.6).
_UNSEEN: Final = frozenset({3, 7})
_SHOWS_TEXT: Final = frozenset({b"Tj", b"TJ", b"'", b'"'})
_BROKEN: Final = (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError)

_Matrix = tuple[float, float, float, float, float, float]
# Width, height and bytes, which no two pictures share that differ.
_Mark = tuple[int, int, int]


class _NoScanError(Exception):
    """The page draws something that a scan with a stamp has not."""


def stamped_scans(pages: Sequence[Any], texts: Sequence[str]) -> list[int]:
    """The pages, from 0, that have a few words upon a picture of all the rest; `texts` are theirs."""
    scans = {
        number: scan
        for number, text in enumerate(texts)
        if not is_blank(text) and len("".join(text.split())) < _TEXT_MAX
        if (scan := _scan(pages[number])) is not None
    }
    if not scans:
        return []
    shared = {mark for mark, count in _marks(pages).items() if count > 1}
    stamps = Counter(_stamp(texts[number]) for number in scans)
    silent = sum(is_blank(text) for text in texts)
    return [
        number
        for number, scan in scans.items()
        if not scan.marks & shared
        and (scan.is_grey or 2 * (stamps[_stamp(texts[number])] + silent) > len(texts))
    ]


def _stamp(text: str) -> str:
    """The letters alone: numbers count the pages."""
    return "".join(char for char in text if char.isalpha())


def _marks(pages: Sequence[Any]) -> Counter[_Mark]:
    """On how many pages each picture may be. Pages that name all pictures of the document count as one."""
    lists: dict[int, set[_Mark]] = {}
    for page in pages:
        try:
            lists[id(objects_of(page))] = {_mark(image) for image in images_of(page)}
        except _BROKEN:
            continue
    return Counter(chain.from_iterable(lists.values()))


def _mark(image: Any) -> _Mark:
    return int(image["/Width"]), int(image["/Height"]), len(image._data)


def _scan(page: Any) -> "_Scan | None":
    """None where no picture covers most of the page, or text stands on it that was read in the picture: it
    is not seen, or below it.
    """
    try:
        box = page.cropbox
        scan = _Scan(page.pdf, abs(float(box.width) * float(box.height)))
        scan.draw(page, page.get_contents(), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), 0)
        return scan if scan.is_covered and scan.pixels >= _PIXELS_MIN else None
    except (_NoScanError, *_BROKEN):
        return None


@dataclass(slots=True)
class _Scan:
    """What is drawn on a page of this size: its pictures, and how much they cover of it."""

    pdf: Any
    size: float
    covered: float = 0.0
    pixels: int = 0
    is_grey: bool = True
    marks: set[_Mark] = field(default_factory=set)
    drawn: int = 0

    @property
    def is_covered(self) -> bool:
        return self.covered >= _COVERED_MIN * self.size

    def draw(self, holder: Any, contents: ContentStream | None, matrix: _Matrix, depth: int) -> None:
        if contents is None:
            return
        self.drawn += _DRAWN_FORM + len(contents.get_data())
        if self.drawn > _DRAWN_MAX or depth > _DEPTH_MAX:
            raise _NoScanError
        objects = objects_of(holder) or {}
        mode = 0
        held: list[tuple[_Matrix, int]] = []
        for operands, operator in contents.operations:
            if operator == b"q":
                held.append((matrix, mode))
            elif operator == b"Q" and held:
                matrix, mode = held.pop()
            elif operator == b"cm":
                matrix = _moved(operands, matrix)
            elif operator == b"Tr":
                mode = int(operands[0])
            elif operator in _SHOWS_TEXT and (mode in _UNSEEN or not self.is_covered):
                raise _NoScanError
            elif operator == b"Do" and operands[0] in objects:
                self._show(objects[operands[0]], matrix, depth)

    def _show(self, entry: Any, matrix: _Matrix, depth: int) -> None:
        if entry.get("/Subtype") == "/Form":
            inner = _moved(entry["/Matrix"], matrix) if "/Matrix" in entry else matrix
            self.draw(entry, ContentStream(entry, self.pdf), inner, depth + 1)
        elif is_picture(entry):
            self.covered += abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])
            self.pixels += int(entry["/Width"]) * int(entry["/Height"])
            self.is_grey = self.is_grey and is_grey(entry)
            self.marks.add(_mark(entry))


def _moved(by: Sequence[Any], matrix: _Matrix) -> _Matrix:
    """What is done by a matrix before another."""
    a, b, c, d, e, f = (float(number) for number in by)
    p, q, r, s, t, u = matrix
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u
