"""How the work of this program ends when it does not succeed."""

from __future__ import annotations

from services.chassis.errors import ServiceError


class BackupError(Exception):
    """It cannot be done. Each line is for the person who started it.

    cause: what a service said, where one did not do its part.
    """

    def __init__(self, *lines: str, cause: ServiceError | None = None) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.cause = cause


class InvalidBackupError(BackupError):
    """The backup itself cannot be used: it is not whole, was changed, or has another key."""


class NewerBackupError(InvalidBackupError):
    """It was written by a newer release."""


class NotReadyError(BackupError):
    """A service is not there, or not ready."""


class BusyError(BackupError):
    """Another process works here already."""


class DiffersError(BackupError):
    """A restore went through, and the house answers otherwise than the backup says."""
