"""What killed processes left behind is swept; what is in use stays."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from services.sandbox import folders


def _room(folder: Path, name: str) -> Path:
    (folder / f"{name}.lock").touch()
    room = folder / name
    (room / "work").mkdir(parents=True)
    return room


def test_left_rooms_are_removed(tmp_path: Path) -> None:
    room = _room(tmp_path, "left")
    (room / "work/file").write_text("x")
    (room / "work/closed").mkdir()
    (room / "work/closed/file").write_text("x")
    (room / "work/closed").chmod(0)
    _room(tmp_path, "empty")

    assert folders.sweep(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_rooms_in_use_stay(tmp_path: Path) -> None:
    room = _room(tmp_path, "used")
    with (tmp_path / "used.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert folders.sweep(tmp_path) == 0

    assert (room / "work").is_dir()


def test_only_this_user_looks_into_the_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert folders.base().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_base_that_somebody_else_prepared_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / f"meld-sandbox-{os.geteuid()}"
    if kind == "a link":
        path.symlink_to(tmp_path)
    elif kind == "a file":
        path.touch(0o600)
    else:
        path.mkdir()
        path.chmod(0o777)

    with pytest.raises(PermissionError):
        folders.base()
