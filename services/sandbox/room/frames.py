"""How service and launcher talk: one frame there, one frame back.

A frame is the length of a JSON object (eight bytes, big endian), the object, and then the contents whose
sizes the object names. The service keeps its end open: when it closes, nobody waits for the run any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, BinaryIO

PREFIX = 8
# Of the JSON object alone.
LARGEST_HEAD = 4 << 20


def pack(head: dict[str, Any], contents: Iterable[bytes]) -> bytes:
    """The frame."""
    text = json.dumps(head).encode()
    return b"".join([len(text).to_bytes(PREFIX, "big"), text, *contents])


def read_head(source: BinaryIO) -> dict[str, Any]:
    """Raises EOFError when the other side has gone, ValueError when it is no frame."""
    length = int.from_bytes(read(source, PREFIX), "big")
    if length > LARGEST_HEAD:
        raise ValueError("the head of the frame is too long")
    head = json.loads(read(source, length))
    if not isinstance(head, dict):
        raise ValueError("the head of the frame is no object")
    return head


def read(source: BinaryIO, size: int) -> bytes:
    """Exactly that many bytes. Raises EOFError."""
    content = source.read(size)
    if len(content) < size:
        raise EOFError
    return content
