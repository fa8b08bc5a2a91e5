"""Where an archive lies while it is looked at."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.chassis.lock import InUseError, lock_directory
from services.chassis.start import StartError
from services.gateway.problem import ProblemError

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 5.0
_FOLDER = "archive-"


class Spool:
    """A folder that the workers of a gateway share: one of them at a time works on a backup."""

    def __init__(self, folder: Path) -> None:
        """folder: made when it is needed."""
        self._folder = folder

    @contextmanager
    def alone(self) -> Iterator[Path]:
        """An empty folder while nobody else makes, checks or takes a backup.

        Raises ProblemError: 409 while somebody does, 507 where there is no room for one.
        """
        try:
            with lock_directory(self._folder):
                for left in self._folder.glob(f"{_FOLDER}*"):
                    # Of a worker that was killed: whoever works on one holds the lock.
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=self._folder) as folder:
                    yield Path(folder)
        except InUseError:
            raise ProblemError(
                409,
                "BACKUP_RUNNING",
                "a backup is being made, checked or restored already",
                retry_after=_AGAIN_SECONDS,
            ) from None
        except StartError as error:
            _log.error("the folder for archives cannot be used: %s", error)
            raise ProblemError(507, "STORAGE_FULL", "the folder for archives cannot be used") from None
