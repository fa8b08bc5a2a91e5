"""A folder is measured, read and removed, whatever was done to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.sandbox.room import space


def _deep(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_small_things_take_space(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")

    assert space.used(str(tmp_path), 1 << 30) >= 3 * 4096


def test_content_counts_once_and_names_each(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(1 << 20))
    alone = space.used(str(tmp_path), 1 << 30)
    for number in range(10):
        (tmp_path / str(number)).hardlink_to(tmp_path / "a")

    assert alone >= 1 << 20
    assert space.used(str(tmp_path), 1 << 30) == alone + 10 * 4096


def test_it_does_not_count_for_ever(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()

    assert space.used(str(tmp_path), 10 * 4096) == 11 * 4096


def test_deeper_than_can_be_looked_into_is_too_much(tmp_path: Path) -> None:
    _deep(tmp_path, 100)

    assert space.used(str(tmp_path), 1 << 40) == space.BEYOND


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "file").symlink_to(outside / "secret")
    (inside / "folder").symlink_to(outside)

    assert space.content(str(inside), "file", 100) is None
    assert space.content(str(inside), "folder/secret", 100) is None


@pytest.mark.parametrize(("size", "found"), [(10, b"0123456789"), (9, None)])
def test_only_files_up_to_a_size_are_read(size: int, found: bytes | None, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"0123456789")

    assert space.content(str(tmp_path), "a/b", size) == found


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()

    assert [space.content(str(tmp_path), name, 100) for name in ("pipe", "folder", "missing")] == [None] * 3


def test_everything_is_removed(tmp_path: Path) -> None:
    room, outside = tmp_path / "room", tmp_path / "outside"
    room.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    _deep(room, 1200)
    (room / "lifted-0").mkdir()
    (room / "link").symlink_to(outside)
    os.mkfifo(room / "pipe")
    (room / "closed").mkdir()
    (room / "closed/inner").mkdir()
    (room / "closed/inner").chmod(0)
    (room / "closed").chmod(0)

    space.remove(str(room))

    assert not room.exists()
    assert (outside / "kept").exists()


def test_nothing_to_remove_is_no_fault(tmp_path: Path) -> None:
    space.remove(str(tmp_path / "missing"))
