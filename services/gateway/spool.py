"""Where an archive lies while it is looked at."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.chassis.lock import lock_directory
from services.chassis.start import StartError
from services.gateway.problem import ProblemError

_AGAIN_SECONDS = 5.0
_FOLDER = "archive-"


class Spool:
    """A folder that the workers of a gateway share: one of them at a time works on a backup."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: made when it is needed; one of this process's own when None."""
        self._folder = folder

    @contextmanager
    def alone(self) -> Iterator[Path]:
        """An empty folder while nobody else makes, checks or takes a backup. Raises ProblemError 409."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="meldrag-spool-"))
        try:
            with lock_directory(self._folder):
                for left in self._folder.glob(f"{_FOLDER}*"):
                    # Of a worker that was killed: whoever works on one holds the lock.
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=self._folder) as folder:
                    yield Path(folder)
        except StartError:
            raise ProblemError(
                409,
                "BACKUP_RUNNING",
                "a backup is being made, checked or restored already",
                retry_after=_AGAIN_SECONDS,
            ) from None
