"""How the work of this program ends when it does not succeed."""

from __future__ import annotations


class BackupError(Exception):
    """It cannot be done. Each line is for the person who started it."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
