"""A service's snapshot on its way: checked as it passes, its size known before all of it has come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from services.backup.failure import InvalidBackupError
from services.chassis import snapshot
from services.chassis.errors import ServiceError

SERVICES = ("vector", "session")
_NO_LIMIT = 1 << 60


def file_of(service: str) -> str:
    """The name of a service's snapshot."""
    return f"{service}.snapshot"


class Copying:
    """Passes the snapshot of a service on. Methods raise InvalidBackupError when it is not whole or has
    another key, and what `pieces` raises.
    """

    def __init__(self, service: str, key: bytes, pieces: Iterable[bytes]) -> None:
        self.service = service
        self._pieces = iter(pieces)
        self._waiting: list[bytes] = []
        self._unpacking = snapshot.Unpacking(None, service, key, _NO_LIMIT)
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """Bytes of all of it, once `begin` was called."""
        return self._unpacking.size

    @property
    def counts(self) -> Mapping[str, int]:
        """What is in it by kind, once `begin` was called."""
        manifest = self._unpacking.manifest
        return {} if manifest is None else manifest.counts

    @property
    def sha256(self) -> str:
        """Of what has passed, in hex."""
        return self._digest.hexdigest()

    def begin(self) -> None:
        """Waits until its header has come: the service has made its copy then."""
        while self._unpacking.manifest is None and (piece := next(self._pieces, b"")):
            self._feed(piece)
            self._waiting.append(piece)
        if self._unpacking.manifest is None:
            self._finish()

    def pieces(self) -> Iterator[bytes]:
        """All of it, once."""
        while self._waiting:
            piece = self._waiting.pop(0)
            self._digest.update(piece)
            yield piece
        for piece in self._pieces:
            self._feed(piece)
            self._digest.update(piece)
            yield piece
        self._finish()

    def close(self) -> None:
        """Lets go of what is open."""
        self._unpacking.close()

    def _feed(self, piece: bytes) -> None:
        try:
            self._unpacking.feed(piece)
        except ServiceError as error:
            raise self._invalid(error) from None

    def _finish(self) -> None:
        try:
            self._unpacking.finish()
        except ServiceError as error:
            raise self._invalid(error) from None

    def _invalid(self, error: ServiceError) -> InvalidBackupError:
        return InvalidBackupError(f"{file_of(self.service)}: {error.message}")
