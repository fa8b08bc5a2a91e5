"""Backups against a scripted gateway: what is on the disk, and when."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from meldrag_cli.app import main
from tests.unit.meldrag_cli.scripted import Answer, events, problem, scripted

API = "/api/v1"
ARCHIVE = b"all that there is " * 50_000
BACKUP = {
    "created": "2026-11-26T12:00:00Z",
    "parts": [
        {"name": "session", "bytes": 3, "sha256": "a", "counts": {"sessions": 2, "users": 1}},
        {"name": "vector", "bytes": 3, "sha256": "b", "counts": {"documents": 4}},
    ],
    "queries": 4,
    "conversations": 1,
}
STEPS = [
    ("step", {"stage": stage, "done": 1, "total": 2}) for stage in ("verifying", "documents", "comparing")
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which every command is given."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def given(data: bytes = ARCHIVE, name: str = "meld-20261126_120000.tar", length: int | None = None) -> Answer:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(data, content_type="application/x-tar", headers=headers, length=length)


def here() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


def test_a_backup_has_the_name_of_the_house_and_is_private(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted({f"POST {API}/backup": given()}) as house:
        assert main(["--url", house.url, "backup", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "file": "meld-20261126_120000.tar",
        "bytes": len(ARCHIVE),
        "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
    }
    assert here() == ["meld-20261126_120000.tar"]
    assert Path(told["file"]).read_bytes() == ARCHIVE
    assert Path(told["file"]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../../evil.tar", "/etc/x", ".hidden", "a b"])
def test_a_name_that_leads_elsewhere_is_not_taken(name: str) -> None:
    with scripted({f"POST {API}/backup": given(name=name)}) as house:
        assert main(["--url", house.url, "backup"]) == 0
    assert here() == ["meld-backup.tar"]


def test_it_goes_where_it_is_told_and_never_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    with scripted({f"POST {API}/backup": given()}) as house:
        assert main(["--url", house.url, "backup", "mine.tar"]) == 0
        assert main(["--url", house.url, "backup", str(tmp_path / "folder")]) == 0
        asked = len(house.requests)
        assert main(["--url", house.url, "backup", "mine.tar"]) == 2
        assert "mine.tar is there already" in capsys.readouterr().err
        assert main(["--url", house.url, "backup", "nowhere/mine.tar"]) == 2
        assert len(house.requests) == asked
    assert here() == ["mine.tar"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["meld-20261126_120000.tar"]


def test_half_a_file_never_has_its_name() -> None:
    with scripted({f"POST {API}/backup": given(length=len(ARCHIVE) + 5)}) as house:
        assert main(["--url", house.url, "backup", "mine.tar"]) == 3
    assert here() == []


def test_what_is_refused_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({f"POST {API}/backup": problem(409, "BACKUP_RUNNING", "another one")}) as house:
        assert main(["--url", house.url, "backup", "mine.tar"]) == 1
    assert "reason BACKUP_RUNNING" in capsys.readouterr().err
    assert here() == []


def test_a_backup_is_checked_by_the_house(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.tar").write_bytes(ARCHIVE)
    with scripted({f"POST {API}/backup/verify": events(*STEPS, ("end", BACKUP))}) as house:
        assert main(["--url", house.url, "verify-backup", "mine.tar"]) == 0
    told = capsys.readouterr().out
    assert told == "mine.tar is whole: made 2026-11-26 12:00:00Z, 4 documents, 2 sessions, 1 users\n"
    _, _, headers, body = house.requests[0]
    assert body == ARCHIVE
    assert headers["Content-Type"] == "application/x-tar"
    assert headers["Content-Length"] == str(len(ARCHIVE))


def test_a_restore_needs_a_yes_and_tells_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.tar").write_bytes(ARCHIVE)
    end: dict[str, Any] = {"backup": BACKUP, "there": {"documents": 4, "sessions": 2}}
    with scripted({f"POST {API}/restore": events(*STEPS, ("end", end))}) as house:
        assert main(["--url", house.url, "restore", "mine.tar"]) == 2
        assert house.requests == []
        capsys.readouterr()
        assert main(["--url", house.url, "restore", "mine.tar", "--yes"]) == 0
        assert "there is now: 4 documents, 2 sessions" in capsys.readouterr().out
        assert main(["--url", house.url, "restore", "mine.tar", "--yes", "--json"]) == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["type"] for each in lines] == ["step"] * 3 + ["end"]
    assert lines[-1]["there"] == end["there"]


def test_a_backup_that_is_refused_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.tar").write_bytes(ARCHIVE)
    refused = {"reason": "BACKUP_INVALID", "detail": "manifest.json is missing", "status": 422}
    with scripted({f"POST {API}/restore": events(STEPS[0], ("error", refused))}) as house:
        assert main(["--url", house.url, "restore", "mine.tar", "--yes"]) == 1
    assert "manifest.json is missing" in capsys.readouterr().err


def test_a_folder_is_sent_as_the_archive_of_it() -> None:
    folder = Path("20261126_120000")
    folder.mkdir()
    files = {
        "manifest.json": b"{}",
        "SHA256SUMS": b"",
        "vector.snapshot": b"v" * 5000,
        "session.snapshot": b"s",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with scripted({f"POST {API}/backup/verify": events(("end", BACKUP))}) as house:
        assert main(["--url", house.url, "verify-backup", str(folder)]) == 0
        assert main(["--url", house.url, "verify-backup", "."]) == 2
    with tarfile.open(fileobj=io.BytesIO(house.requests[0][3])) as sent:
        read = {each.name: sent.extractfile(each).read() for each in sent.getmembers()}  # type: ignore[union-attr]
    assert read == {f"20261126_120000/{name}": data for name, data in files.items()}


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted({}) as house:
        assert main(["--url", house.url, "verify-backup", "none.tar"]) == 2
    assert "none.tar" in capsys.readouterr().err
