"""An entry of a journal, and its form in the record."""

from __future__ import annotations

import enum
import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

from meldrag.agents.v1 import journal_pb2

# Below this packing does not pay.
_PACKED_FROM = 200
_RAW, _ZLIB = b"\0", b"\1"
# What somebody else wrote into the record unpacks to at most this much.
_MAX_UNPACKED = 64 << 20


class Outcome(enum.Enum):
    """How something that was asked ended; see JournalOutcome."""

    BEGUN = journal_pb2.JOURNAL_OUTCOME_BEGUN
    VALUE = journal_pb2.JOURNAL_OUTCOME_VALUE
    ERROR = journal_pb2.JOURNAL_OUTCOME_ERROR
    BROKEN = journal_pb2.JOURNAL_OUTCOME_BROKEN


@dataclass(frozen=True, slots=True)
class Entry:
    """What was asked and what came of it.

    digest: of the request, 32 bytes; empty where the kind says all. request and value: packed. seconds: how
    long it took.
    """

    kind: str
    outcome: Outcome
    digest: bytes = b""
    request: bytes = b""
    value: bytes = b""
    seconds: float = 0.0

    @property
    def size(self) -> int:
        """Bytes in the record, about."""
        return len(self.request) + len(self.value) + len(self.kind) + len(self.digest) + 70

    @property
    def noted(self) -> bool:
        """It was read at once, and not waited for."""
        return not self.digest

    def on_wire(self) -> journal_pb2.JournalEntry:
        """As the record has it."""
        return journal_pb2.JournalEntry(
            kind=self.kind,
            request_sha256=self.digest,
            request=self.request,
            outcome=self.outcome.value,
            value=self.value,
            seconds=self.seconds,
        )


def from_wire(entry: journal_pb2.JournalEntry) -> Entry:
    """An entry of the record. Raises ValueError for one that this release does not know."""
    return Entry(
        entry.kind,
        Outcome(entry.outcome),
        entry.request_sha256,
        entry.request,
        entry.value,
        entry.seconds,
    )


def canonical(value: Any) -> bytes:
    """Plain JSON values as bytes, the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def read_json(data: bytes) -> Any:
    """What `canonical` was given."""
    return json.loads(data.decode(errors="surrogatepass"))


def digest(request: bytes) -> bytes:
    """Names a request."""
    return hashlib.sha256(request).digest()


def packed(data: bytes) -> bytes:
    """Compressed where that makes it smaller."""
    if len(data) >= _PACKED_FROM:
        small = zlib.compress(data, 1)
        if len(small) < len(data):
            return _ZLIB + small
    return _RAW + data


def raw(data: bytes) -> bytes:
    """Of what cannot be compressed, in the form that `unpacked` reads."""
    return _RAW + data


def unpacked(data: bytes) -> bytes:
    """What was packed. Raises ValueError when it is damaged."""
    if data[:1] == _RAW:
        return data[1:]
    if data[:1] != _ZLIB:
        raise ValueError("packed in a way that is not known")
    reader = zlib.decompressobj()
    try:
        whole = reader.decompress(data[1:], _MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError("cut short, or too large")
    return whole
