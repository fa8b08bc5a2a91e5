from __future__ import annotations

import os
from pathlib import Path

from services.local.logs import rotate


def test_a_log_within_its_size_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("12345")

    rotate(log, 5, 2)

    assert log.read_text() == "12345"
    assert list(tmp_path.iterdir()) == [log]


def test_only_so_many_old_logs_are_kept_newest_first(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for text in ("first!", "second", "third!"):
        log.write_text(text)
        rotate(log, 5, 2)

    assert (tmp_path / "a.log.1").read_text() == "third!"
    assert (tmp_path / "a.log.2").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]


def test_a_writer_that_holds_the_log_open_goes_on_at_its_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(writer, b"before the cut")
        rotate(log, 5, 1)
        os.write(writer, b"after")
    finally:
        os.close(writer)

    assert log.read_text() == "after"


def test_without_backups_the_log_is_only_emptied(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("too long")

    rotate(log, 5, 0)

    assert log.read_text() == ""
    assert list(tmp_path.iterdir()) == [log]


def test_a_log_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    rotate(tmp_path / "a.log", 5, 1)

    assert list(tmp_path.iterdir()) == []
