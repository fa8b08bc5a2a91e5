"""The child's request and answer as bytes.

A request is one line of JSON. An answer is a length (4 bytes, big endian), that many bytes of JSON, then
the UTF-8 text. The child read a hostile file, so the parent takes nothing for granted: a wrong answer is a
ValueError.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from services.vector.extraction.errors import BY_REASON, ExtractionError
from services.vector.extraction.model import Block, BlockKind, Extraction, Limits, Place, Span
from services.vector.extraction.needs import Picture
from services.vector.extraction.writer import LABEL_MAX, PLACE_MAX, TITLE_MAX, WARNING_MAX, WARNINGS_MAX

# The text of recognised pages goes along.
REQUEST_MAX: Final = 64 * 1024 * 1024
PICTURES_MAX: Final = 2_000
_LENGTH: Final = 4
_MESSAGE_MAX: Final = 600
_METADATA_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What the child is asked to read; `path` is absolute and `filename` clean. `recognises`: pictures may be
    sent back instead of text; `recognised`: what was found in those that were.
    """

    path: str
    filename: str
    claimed_media_type: str
    limits: Limits
    recognises: bool = False
    # Page from 0, and its text.
    recognised: tuple[tuple[int, str], ...] = ()


def encode_request(request: Request) -> bytes:
    return json.dumps(asdict(request)).encode("ascii") + b"\n"


def decode_request(line: bytes) -> Request:
    fields = json.loads(line)
    recognised = tuple((page, text) for page, text in fields["recognised"])
    return Request(**{**fields, "limits": Limits(**fields["limits"]), "recognised": recognised})


def answer_max(limits: Limits) -> int:
    """No answer within the limits is longer, in bytes."""
    # A label is at most six bytes a character in JSON, beside its position.
    return (
        max(limits.text_bytes, limits.picture_bytes)
        + limits.pages * 32
        + limits.blocks * (64 + 6 * LABEL_MAX)
        + limits.places * (64 + 6 * PLACE_MAX)
        + WARNINGS_MAX * (8 + 6 * WARNING_MAX)
        + 64 * 1024
    )


def encode_extraction(extraction: Extraction) -> list[bytes]:
    """The answer in pieces."""
    header = {
        "title": extraction.title,
        "media_type": extraction.media_type,
        "pages": [[span.byte_start, span.byte_end] for span in extraction.pages],
        "blocks": [
            [block.kind.value, block.byte_start, block.byte_end, block.level, block.label]
            for block in extraction.blocks
        ],
        "places": [[place.byte_start, place.label, place.page, place.line] for place in extraction.places],
        "warnings": list(extraction.warnings),
    }
    return [*_framed({"extraction": header}), extraction.text.encode("utf-8")]


def encode_pictures(pictures: list[Picture]) -> list[bytes]:
    """The answer in pieces."""
    header = {"pictures": [[picture.page, len(picture.data)] for picture in pictures]}
    return [*_framed(header), *(picture.data for picture in pictures)]


def encode_error(error: ExtractionError) -> list[bytes]:
    """The answer in pieces."""
    return _framed({"error": {"reason": error.reason, "message": error.message, "metadata": error.metadata}})


def _framed(header: dict[str, Any]) -> list[bytes]:
    data = json.dumps(header).encode("ascii")
    return [len(data).to_bytes(_LENGTH, "big"), data]


def decode_answer(answer: bytes | bytearray) -> Extraction | list[Picture]:
    """The extraction, or pictures of pages. Raises the child's ExtractionError, or ValueError for anything
    that is no answer.
    """
    size = int.from_bytes(answer[:_LENGTH], "big")
    if len(answer) < _LENGTH + size:
        raise ValueError("the answer is short")
    try:
        header = json.loads(bytes(answer[_LENGTH : _LENGTH + size]))
    except RecursionError as error:
        raise ValueError("the header is nested") from error
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    if "error" in header:
        raise _error(header["error"])
    try:
        if "pictures" in header:
            return _pictures(header["pictures"], bytes(answer[_LENGTH + size :]))
        return _extraction(header["extraction"], bytes(answer[_LENGTH + size :]).decode("utf-8"))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("the header has another shape") from error


def _error(fields: Any) -> ExtractionError:
    if not isinstance(fields, dict) or not isinstance(fields.get("metadata"), dict):
        raise ValueError("the error has another shape")
    kind = BY_REASON.get(str(fields.get("reason")))
    if kind is None:
        raise ValueError("the error has no known reason")
    metadata = list(fields["metadata"].items())[:_METADATA_MAX]
    return kind(
        str(fields.get("message"))[:_MESSAGE_MAX], {str(key)[:40]: str(value) for key, value in metadata}
    )


def _pictures(fields: Any, data: bytes) -> list[Picture]:
    pictures: list[Picture] = []
    at = 0
    for page, size in fields[:PICTURES_MAX]:
        if _offset(page) < 0 or not 0 <= _offset(size) <= len(data) - at:
            raise ValueError("a picture is cut off")
        pictures.append(Picture(page, data[at : at + size]))
        at += size
    return pictures


def _extraction(fields: Any, text: str) -> Extraction:
    title = fields["title"]
    return Extraction(
        text,
        None if title is None else str(title)[:TITLE_MAX],
        str(fields["media_type"])[:200],
        tuple(Span(_offset(start), _offset(end)) for start, end in fields["pages"]),
        tuple(
            Block(BlockKind(kind), _offset(start), _offset(end), _offset(level), str(label)[:LABEL_MAX])
            for kind, start, end, level, label in fields["blocks"]
        ),
        tuple(
            Place(_offset(start), str(label)[:PLACE_MAX], _offset(page), _offset(line))
            for start, label, page, line in fields["places"]
        ),
        tuple(str(warning)[:WARNING_MAX] for warning in fields["warnings"][:WARNINGS_MAX]),
    )


def _offset(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("a position is no number")
    return value
