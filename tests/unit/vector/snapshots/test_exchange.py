"""One record for another: decided by a name, finished from wherever it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.vector.snapshots import exchange
from services.vector.snapshots.exchange import clear, decide, settle


def laid_out(folder: Path) -> None:
    (folder / "incoming").mkdir()
    (folder / "incoming" / "record.sqlite3").write_text("new")
    (folder / "incoming" / "summary.json").write_text("{}")
    (folder / "record.sqlite3").write_text("old")
    for ending in ("-wal", "-shm"):
        (folder / f"record.sqlite3{ending}").write_text("of the old")
    (folder / "spool").mkdir()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_incoming_counts_for_nothing(tmp_path: Path) -> None:
    laid_out(tmp_path)
    settle(tmp_path)
    assert (tmp_path / "record.sqlite3").read_text() == "old"
    assert (tmp_path / "record.sqlite3-wal").exists()
    clear(tmp_path)
    assert names(tmp_path) == ["record.sqlite3", "record.sqlite3-shm", "record.sqlite3-wal", "spool"]


def test_what_is_decided_is_the_record_and_the_old_log_is_gone(tmp_path: Path) -> None:
    laid_out(tmp_path)
    decide(tmp_path)
    # A process that ended here cleans up before it settles; that must not touch the decided one.
    clear(tmp_path)
    settle(tmp_path)
    assert (tmp_path / "record.sqlite3").read_text() == "new"
    assert names(tmp_path) == ["record.sqlite3", "spool"]
    settle(tmp_path)
    assert (tmp_path / "record.sqlite3").read_text() == "new"


@pytest.mark.parametrize("stops", range(1, 5))
def test_settling_goes_on_from_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: int
) -> None:
    """It is stopped at each of its writes to the disk, then a record that lives gets a log of its own."""
    laid_out(tmp_path)
    decide(tmp_path)
    passed = 0
    sync = exchange._sync

    def stopping(path: Path) -> None:
        nonlocal passed
        passed += 1
        if passed == stops:
            raise InterruptedError
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(exchange, "_sync", stopping)
        with pytest.raises(InterruptedError):
            settle(tmp_path)
    settle(tmp_path)
    assert (tmp_path / "record.sqlite3").read_text() == "new"
    assert names(tmp_path) == ["record.sqlite3", "spool"]


def test_the_log_of_the_new_record_is_not_taken_for_that_of_the_old(tmp_path: Path) -> None:
    """The record was put in place, its folder was not yet removed: it may have been opened since."""
    laid_out(tmp_path)
    decide(tmp_path)
    (tmp_path / "restored" / "record.sqlite3").replace(tmp_path / "record.sqlite3")
    settle(tmp_path)
    assert (tmp_path / "record.sqlite3-wal").exists()
    assert not (tmp_path / "restored").exists()
