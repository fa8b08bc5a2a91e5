"""The file form of a copy of what a service keeps, verified before anything is replaced by it.

    MELDRAG-SNAPSHOT 1
    {"counts": {...}, "created_time": "...", "key": "...", "parts": [...], "service": "vector", ...}
    <HMAC-SHA256 of the line before, in hex>
    <the bytes of the parts, one behind the other>

The header comes first and is checked before a byte of a part touches the disk. A
part is a regular file with a plain name; nothing else can be expressed. The key is
MELD_SNAPSHOT_KEY. Without one the HMAC still finds damage, but not a forger.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from services.chassis.errors import FailedPreconditionError, InvalidArgumentError

PIECE_BYTES = 256 * 1024

_MAGIC = b"MELDRAG-SNAPSHOT 1\n"
_MAX_HEADER = 64 * 1024
_MAX_PARTS = 64
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}(\.[a-z0-9]{1,8})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT_OF = b"fingerprint of a snapshot key"


@dataclass(frozen=True)
class Part:
    """A file of a snapshot: plain name, size in bytes, SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a snapshot says of itself.

    service: who made it. schema_version: of the form in which the parts are kept. counts: what is in it, by
    kind, for comparison after a restore.
    """

    service: str
    schema_version: int
    created_time: datetime
    counts: Mapping[str, int]
    parts: tuple[Part, ...]


def describe(path: Path, name: str) -> Part:
    """The part that a file will be; reads it once."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Part(name, stream.tell(), digest)


def pack(manifest: Manifest, files: Sequence[Path], key: bytes) -> Iterator[bytes]:
    """The snapshot in pieces of at most PIECE_BYTES; `files` hold the parts, in the manifest's order."""
    line = _to_json(manifest, key)
    yield _MAGIC + line + _seal(line, key)
    for path in files:
        with path.open("rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece


class Unpacking:
    """Takes a snapshot piece by piece and writes its parts into a folder; without one it only verifies.

    service: whose snapshot it must be. key: which it must be made with. max_bytes: of all parts together.
    Raises InvalidArgumentError (SNAPSHOT_INVALID) for a damaged one, FailedPreconditionError
    (SNAPSHOT_FOREIGN) for one of another service or key.
    """

    def __init__(self, folder: Path | None, service: str, key: bytes, max_bytes: int) -> None:
        self._folder = folder
        self._service = service
        self._key = key
        self._max_bytes = max_bytes
        self._head = b""
        self._head_bytes = 0
        self._manifest: Manifest | None = None
        self._waiting: list[Part] = []
        self._file: IO[bytes] | None = None
        self._left = 0
        self._digest = hashlib.sha256()

    @property
    def manifest(self) -> Manifest | None:
        """What the header says; None until it has come. Its parts may still turn out to be damaged."""
        return self._manifest

    @property
    def size(self) -> int:
        """Bytes of the whole snapshot, as its header says; 0 until that has come."""
        manifest = self._manifest
        return 0 if manifest is None else self._head_bytes + sum(part.size for part in manifest.parts)

    def feed(self, data: bytes) -> None:
        """The next bytes; blocks while it writes."""
        if self._manifest is None:
            self._head += data
            data = self._begin()
        view = memoryview(data)
        while view:
            if self._file is None:
                raise _invalid("there are more bytes than the header names")
            now = view[: self._left]
            self._file.write(now)
            self._digest.update(now)
            self._left -= len(now)
            view = view[len(now) :]
            self._close_full_parts()

    def finish(self) -> Manifest:
        """What was unpacked; every part is whole and as the header says."""
        if self._manifest is None or self._file is not None:
            raise _invalid("it ends too early")
        return self._manifest

    def close(self) -> None:
        """Lets go of an open file; the folder stays to its owner."""
        if self._file is not None:
            self._file.close()

    def _begin(self) -> bytes:
        """Reads the header once it is complete; what follows it."""
        lines = self._head.split(b"\n", 3)
        if not _MAGIC.startswith(self._head[: len(_MAGIC)]):
            raise _invalid("it does not begin as a snapshot does")
        if len(lines) < 4:
            if len(self._head) > _MAX_HEADER:
                raise _invalid("its header has no end")
            return b""
        line, seal, rest = lines[1] + b"\n", lines[2] + b"\n", lines[3]
        self._head_bytes = len(self._head) - len(rest)
        self._manifest = _from_json(line, seal, self._key)
        if self._manifest.service != self._service:
            raise FailedPreconditionError(
                f"this is a snapshot of the {self._manifest.service} service",
                reason="SNAPSHOT_FOREIGN",
                metadata={"service": self._manifest.service},
            )
        if sum(part.size for part in self._manifest.parts) > self._max_bytes:
            raise _invalid(f"its parts are larger than {self._max_bytes} bytes")
        self._waiting = list(self._manifest.parts)
        self._open_next()
        self._close_full_parts()
        return rest

    def _open_next(self) -> None:
        self._file = None
        if self._waiting:
            place = Path(os.devnull) if self._folder is None else self._folder / self._waiting[0].name
            self._file = place.open("wb" if self._folder is None else "xb")
            self._left, self._digest = self._waiting[0].size, hashlib.sha256()

    def _close_full_parts(self) -> None:
        """Ends the open part when it is full; an empty one is full as it is opened."""
        while self._file is not None and self._left == 0:
            self._file.close()
            part = self._waiting.pop(0)
            if self._digest.hexdigest() != part.sha256:
                self._file = None
                raise _invalid(f"the part {part.name} is damaged")
            self._open_next()


def _seal(line: bytes, key: bytes) -> bytes:
    return hmac.digest(key, line, "sha256").hex().encode() + b"\n"


def _fingerprint(key: bytes) -> str:
    return hmac.digest(key, _FINGERPRINT_OF, "sha256").hex()[:16]


def _to_json(manifest: Manifest, key: bytes) -> bytes:
    fields = {
        "service": manifest.service,
        "schema_version": manifest.schema_version,
        "created_time": manifest.created_time.isoformat(timespec="seconds"),
        "counts": dict(manifest.counts),
        "key": _fingerprint(key),
        "parts": [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in manifest.parts],
    }
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def _from_json(line: bytes, seal: bytes, key: bytes) -> Manifest:
    try:
        fields: Any = json.loads(line)
        made_with = str(fields["key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _invalid("its header cannot be read") from None
    if not hmac.compare_digest(seal, _seal(line, key)):
        if made_with != _fingerprint(key):
            raise FailedPreconditionError(
                "it was made with another MELD_SNAPSHOT_KEY",
                reason="SNAPSHOT_FOREIGN",
                metadata={"key": made_with[:16]},
            )
        raise _invalid("its header was changed")
    # Whoever wrote this has the key; the checks below are for our own mistakes.
    try:
        parts = tuple(Part(str(p["name"]), int(p["size"]), str(p["sha256"])) for p in fields["parts"])
        manifest = Manifest(
            str(fields["service"]),
            int(fields["schema_version"]),
            datetime.fromisoformat(fields["created_time"]),
            {str(name): int(count) for name, count in fields["counts"].items()},
            parts,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise _invalid("its header cannot be read") from None
    names = [part.name for part in parts]
    if (
        len(parts) > _MAX_PARTS
        or len(set(names)) != len(names)
        or not all(_NAME.fullmatch(name) for name in names)
        or not all(_SHA256.fullmatch(part.sha256) and part.size >= 0 for part in parts)
    ):
        raise _invalid("its header names parts that cannot be")
    return manifest


def _invalid(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the snapshot cannot be used: {what}", reason="SNAPSHOT_INVALID", metadata={"problem": what}
    )
