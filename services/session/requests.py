"""What makes a repeated request answer as the first did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from services.session import validation


@dataclass(frozen=True, slots=True)
class Once:
    """The name of a request and a fingerprint of its content, 32 bytes."""

    request_id: str
    fingerprint: bytes


def fingerprint(parts: Iterable[str | bytes]) -> bytes:
    """SHA-256 over the parts, each with its length, so that no two lists of parts look alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()


def once(request_id: str, parts: Iterable[str | bytes]) -> Once | None:
    """A request with this content; None without an id, when a repeat is another request.

    Raises InvalidArgumentError when the id is malformed.
    """
    return Once(validation.request_id(request_id), fingerprint(parts)) if request_id else None
