"""What an extraction is: the text, its hash, and where its pages and blocks stand in it.

All positions are offsets into the UTF-8 bytes of the text, half open.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Sizes are in bytes unless said otherwise."""

    file_bytes: int = 64 * 1024 * 1024
    text_bytes: int = 50_000_000
    pages: int = 5_000
    # Headings, tables, lists and code blocks.
    blocks: int = 200_000
    # Marks of where the text stands in the source; beyond this they become coarser.
    places: int = 200_000
    archive_entries: int = 2_000
    archive_bytes: int = 256 * 1024 * 1024
    archive_ratio: int = 100
    # Pictures of pages that go to text recognition, and how long that may take for all of them.
    picture_bytes: int = 64 * 1024 * 1024
    recognition_seconds: float = 120.0
    # Wall clock, and also the processor time of the child.
    seconds: float = 30.0
    # The child's address space; its resident memory cannot be more.
    memory_bytes: int = 512 * 1024 * 1024


class BlockKind(StrEnum):
    """Structure that blank lines do not show. Text outside every block is prose in paragraphs."""

    HEADING = "heading"
    # Each line is a row.
    TABLE = "table"
    # Each line is an item, or goes on an item.
    LIST = "list"
    # Each line stands for itself.
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Span:
    byte_start: int
    byte_end: int


@dataclass(frozen=True, slots=True)
class Block:
    """One structural block.

    `level` is 1 for the outermost heading and 0 for other kinds. `label` is the heading's plain text; the
    span holds the heading as it stands in the text, with its markup where the text has markup.
    """

    kind: BlockKind
    byte_start: int
    byte_end: int
    level: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the text from `byte_start` to the next place stands in the source.

    `label` is for people, such as "Sheet1!B7", "slide 3" or "mail.eml"; it may be empty where `line` says
    more. `page` counts from 1 within its part (a slide is a page) and is 0 where there are none. `line` is
    the number of the first line where each line of the text is a line of the source, else 0.
    """

    byte_start: int
    label: str
    page: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Extraction:
    """Immutable text with its structure.

    `pages` has one span a page in order, empty where the page has no text, and is empty where the format
    has no pages. `blocks` are in order and do not overlap. `places` are in order, no two at one byte.
    `warnings` say, for people, which text of the source is missing. `sha256` is the lower-case hex hash of
    the UTF-8 text. Raises ValueError when a span lies outside the text, cuts a character or is out of order.
    """

    text: str
    title: str | None
    media_type: str
    pages: tuple[Span, ...] = ()
    blocks: tuple[Block, ...] = ()
    places: tuple[Place, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        data = self.text.encode("utf-8")
        _check_spans(data, self.pages)
        _check_spans(data, self.blocks)
        _check_places(data, self.places)
        object.__setattr__(self, "sha256", hashlib.sha256(data).hexdigest())


def _check_spans(data: bytes, spans: tuple[Span, ...] | tuple[Block, ...]) -> None:
    end = 0
    for span in spans:
        if not end <= span.byte_start <= span.byte_end <= len(data):
            raise ValueError(f"span {span.byte_start}..{span.byte_end} is out of range or order")
        for edge in (span.byte_start, span.byte_end):
            if edge < len(data) and data[edge] & 0xC0 == 0x80:
                raise ValueError(f"byte {edge} is inside a character")
        end = span.byte_end


def _check_places(data: bytes, places: tuple[Place, ...]) -> None:
    before = -1
    for place in places:
        at = place.byte_start
        if not before < at <= len(data):
            raise ValueError(f"place {at} is out of range or order")
        if at < len(data) and data[at] & 0xC0 == 0x80:
            raise ValueError(f"byte {at} is inside a character")
        before = at
