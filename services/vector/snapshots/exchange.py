"""One record for another, on disk, so that a crash at any point leaves the one or the other.

    incoming/   a snapshot on its way in; it counts for nothing
    restored/   a verified one: from the rename that gives it this name it is the record
    outgoing/   copies that are being sent

The name of the folder is the decision. `settle` finishes what was decided, each time before the record is
opened: after a crash as in the middle of an exchange. All functions block.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from services.chassis.crash import crash_point
from services.vector.record.record import FILE

INCOMING = "incoming"
OUTGOING = "outgoing"
_RESTORED = "restored"
_BESIDE = ("-wal", "-shm", "-journal")


def decide(folder: Path) -> None:
    """Makes what is incoming the record. The old one must be closed; `settle` has to follow."""
    incoming = folder / INCOMING
    for file in incoming.iterdir():
        _sync(file)
    _sync(incoming)
    crash_point("vector.before_snapshot_decision")
    incoming.rename(folder / _RESTORED)
    _sync(folder)
    crash_point("vector.after_snapshot_decision")


def settle(folder: Path) -> None:
    """Puts a restored record in place of the old one, if there is one; may be repeated from any point."""
    restored = folder / _RESTORED
    if not restored.is_dir():
        return
    record = restored / FILE
    if record.exists():
        # The log of the old record must never meet the new one.
        for ending in _BESIDE:
            (folder / f"{FILE}{ending}").unlink(missing_ok=True)
        _sync(folder)
        crash_point("vector.before_snapshot_rename")
        record.replace(folder / FILE)
        _sync(folder)
        _sync(restored)
        crash_point("vector.after_snapshot_rename")
    shutil.rmtree(restored)
    _sync(folder)


def clear(folder: Path) -> None:
    """Removes what an ended process left half done."""
    for name in (INCOMING, OUTGOING):
        shutil.rmtree(folder / name, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
