"""Files and folders that belong to nothing."""

from __future__ import annotations

import shutil
from pathlib import Path


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it; one that is gone is no fault. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
