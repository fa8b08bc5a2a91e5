"""A backup as it is made: its files one after the other, for a folder or for an archive.

Both services make their copies first, sessions before documents: what they cite is then in the documents.
Each copy is a file of its service's, so that how fast its bytes are taken changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from services.backup import counting
from services.backup import folder as folders
from services.backup.canaries import Canaries
from services.backup.clients import Keepers, contracts
from services.backup.contents import MANIFEST, SUMS, Contents, Copy
from services.backup.conversations import Conversations
from services.backup.copying import Copying, file_of
from services.backup.failure import BackupError
from services.chassis.errors import ServiceError

Say = Callable[[str], None]

_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class File:
    """A file of a backup. size: in bytes; `pieces` gives as many, once."""

    name: str
    size: int
    pieces: Iterator[bytes]


class Making:
    """A backup that was begun. copies: on their way, sessions first. contents: without sizes and digests."""

    def __init__(self, copies: tuple[Copying, ...], contents: Contents, say: Say) -> None:
        self._copies = copies
        self._contents = contents
        self._say = say

    def sizes(self) -> dict[str, int]:
        """Bytes of each file by its name, in the order of `files`, before one of them has been read."""
        contents = self._described()
        manifest = contents.to_json()
        return {
            **{file_of(copying.service): copying.size for copying in self._copies},
            MANIFEST: len(manifest),
            SUMS: len(contents.sums(manifest)),
        }

    def files(self) -> Iterator[File]:
        """The files; each is read before the next is asked for. Reading one raises BackupError."""
        for copying in self._copies:
            yield File(file_of(copying.service), copying.size, copying.pieces())
            self._say(f"{copying.service}: {copying.size} bytes, {counted(copying.counts)}")
        contents = self._described({copying.service: copying.sha256 for copying in self._copies})
        manifest = contents.to_json()
        yield File(MANIFEST, len(manifest), iter((manifest,)))
        sums = contents.sums(manifest)
        yield File(SUMS, len(sums), iter((sums,)))

    def _described(self, digests: Mapping[str, str] | None = None) -> Contents:
        copies = {
            copying.service: Copy(
                copying.size, (digests or {}).get(copying.service, _NO_DIGEST), copying.counts
            )
            for copying in self._copies
        }
        return replace(self._contents, copies=copies)


@contextmanager
def begun(keepers: Keepers, key: bytes, say: Say) -> Iterator[Making]:
    """A backup of which both services have made their copies. Raises BackupError.

    The questions that a restored house must answer are asked before and after that.
    """
    with ExitStack() as held:
        try:
            began = folders.now()
            both = (keepers.session, keepers.vector)
            for keeper in both:
                keeper.wait_healthy()
            canaries = Canaries(keepers.vector.stub)
            conversations = Conversations(keepers.session.stub)
            chosen, talks = canaries.choose(), conversations.choose()
            listed, expiring = counting.listed(keepers.vector.stub, keepers.session.stub)
            copies = []
            for keeper in both:
                exported = held.enter_context(closing(keeper.export()))
                copying = held.enter_context(closing(Copying(keeper.name, key, exported)))
                copying.begin()
                copies.append(copying)
            holding, talking = canaries.still_hold(chosen), conversations.still_hold(talks)
        except ServiceError as error:
            raise BackupError(
                f"the canary queries failed: {error.message} ({error.reason})", cause=error
            ) from None
        say(f"canaries: {len(holding)} queries with their hits, {len(talking)} conversations")
        contents = Contents(contracts(), began, {}, holding, talking, expiring, listed)
        yield Making(tuple(copies), contents, say)


def counted(counts: Mapping[str, int]) -> str:
    """What is there by kind, in words."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
