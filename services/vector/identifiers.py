"""What ids and other short fields of a request must look like. Each function returns the value or raises
INVALID_FIELD.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from services.vector.documents import Scalar
from services.vector.faults import invalid_field

_COLLECTION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9]")
_DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MAX_METADATA_FIELDS = 64
_MAX_METADATA_NAME = 128
_MAX_METADATA_TEXT = 2_000


def collection_id(value: str) -> str:
    """An id that its creator chose."""
    if not _COLLECTION_ID.fullmatch(value) or ".." in value:
        raise invalid_field(
            "collection_id",
            value,
            "must have 3 to 63 characters of a-z A-Z 0-9 . _ -, a letter or digit first and last, and no two"
            " dots in a row",
        )
    return value


def is_document_id(value: str) -> bool:
    """Whether this can be the id of a document at all."""
    return _DOCUMENT_ID.fullmatch(value) is not None


def line(field: str, value: str, longest: int) -> str:
    """Text of one line for people, or somebody's own id."""
    if len(value) > longest:
        raise invalid_field(field, value, f"must have at most {longest} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise invalid_field(field, value, "must have no control characters")
    return value


def sha256(field: str, value: str) -> str:
    """A hash in hexadecimal, or nothing."""
    if value and not _SHA256.fullmatch(value):
        raise invalid_field(field, value, "must be 64 hexadecimal digits")
    return value.lower()


def whole(field: str, value: int, least: int, most: int) -> int:
    """A number in a range."""
    if not least <= value <= most:
        raise invalid_field(field, value, f"must be {least} to {most}")
    return value


def metadata(field: str, values: Mapping[str, object]) -> dict[str, Scalar]:
    """A flat object of strings, finite numbers and truth values."""
    if len(values) > _MAX_METADATA_FIELDS:
        raise invalid_field(field, len(values), f"must have at most {_MAX_METADATA_FIELDS} fields")
    flat: dict[str, Scalar] = {}
    for name, value in values.items():
        line(f"{field}.{name[:20]}", name, _MAX_METADATA_NAME)
        text = isinstance(value, str) and len(value) <= _MAX_METADATA_TEXT
        number = isinstance(value, float) and math.isfinite(value)
        if isinstance(value, (str, float, bool)) and (text or number or isinstance(value, bool)):
            flat[name] = value
        else:
            raise invalid_field(
                f"{field}.{name[:20]}",
                type(value).__name__,
                f"must be a finite number, a truth value or at most {_MAX_METADATA_TEXT} characters",
            )
    return flat


def few(field: str, values: Sequence[str], most: int) -> tuple[str, ...]:
    """A list of bounded length."""
    if len(values) > most:
        raise invalid_field(field, len(values), f"must have at most {most} entries")
    return tuple(values)
