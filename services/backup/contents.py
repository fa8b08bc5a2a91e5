"""What a backup says of itself: manifest.json, and the sums of all its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.backup.canaries import Canary
from services.backup.conversations import Conversation
from services.backup.copying import SERVICES, file_of
from services.backup.failure import InvalidBackupError, NewerBackupError

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Copy:
    """The snapshot of one service: size in bytes, SHA-256 in hex, what is in it by kind."""

    size: int
    sha256: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Contents:
    """What manifest.json says.

    contracts: SHA-256 of those that the program was built with. expiring: sessions and
    messages that had so little time left that a restore may not find them any more; None where that was
    not counted. listed: what the house's own lists showed, by kind: what belongs to people is in the
    copies, and in no list but theirs.
    """

    contracts: str
    created_time: datetime
    copies: Mapping[str, Copy]
    canaries: tuple[Canary, ...]
    conversations: tuple[Conversation, ...]
    expiring: Mapping[str, int] | None
    listed: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The file."""
        said = {
            "format": FORMAT,
            "contracts": self.contracts,
            "created_time": self.created_time.isoformat(timespec="seconds"),
            "files": {
                file_of(name): {"size": copy.size, "sha256": copy.sha256, "counts": dict(copy.counts)}
                for name, copy in self.copies.items()
            },
            "canaries": [canary.to_json() for canary in self.canaries],
            "conversations": [conversation.to_json() for conversation in self.conversations],
            "expiring": None if self.expiring is None else dict(self.expiring),
            "listed": dict(self.listed),
        }
        return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"

    def sums(self, manifest: bytes) -> bytes:
        """SHA256SUMS, which names every other file; people check it with sha256sum. manifest: to_json()."""
        sums = {file_of(name): copy.sha256 for name, copy in self.copies.items()}
        sums[MANIFEST] = hashlib.sha256(manifest).hexdigest()
        return "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Contents:
        """Out of the file. Raises InvalidBackupError."""
        try:
            said: Any = json.loads(data)
            if int(said["format"]) > FORMAT:
                raise NewerBackupError(f"{MANIFEST} was written by a newer release")
            copies = {}
            for name in SERVICES:
                file = said["files"][file_of(name)]
                counts = {str(kind): int(count) for kind, count in file["counts"].items()}
                copies[name] = Copy(int(file["size"]), str(file["sha256"]), counts)
            # Absent in backups of releases before.
            expiring = said.get("expiring")
            return cls(
                str(said["contracts"]),
                datetime.fromisoformat(said["created_time"]),
                copies,
                tuple(map(Canary.from_json, said["canaries"])),
                tuple(map(Conversation.from_json, said.get("conversations", ()))),
                None if expiring is None else {str(kind): int(count) for kind, count in expiring.items()},
                {str(kind): int(count) for kind, count in said.get("listed", {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise InvalidBackupError(f"{MANIFEST} cannot be read") from None
