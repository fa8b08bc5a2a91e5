"""The whole house, copied while it is written to, emptied and brought back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.launched import ROOT, House, launched

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "key-of-the-owner-of-this-test"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with launched(tmp_path / "data", {"MELD_SNAPSHOT_KEY": KEY}) as started:
        yield started


def backup(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.backup", *words],
        cwd=ROOT,
        env=house.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ingest(house: House, number: int) -> str:
    text = f"# Harbour {number}\n\nThe harbour number {number} is {number + 3} metres deep. Light {number}.\n"
    answer = httpx.post(
        f"{house.base_url}/api/v1/collections/harbours/documents",
        files={"file": (f"harbour{number}.md", text.encode(), "text/markdown")},
        timeout=30,
    ).raise_for_status()
    return str(answer.json()["id"])


def document_status(house: House, document: str) -> int:
    return httpx.get(
        f"{house.base_url}/api/v1/collections/harbours/documents/{document}", timeout=10
    ).status_code


def session_status(house: House, session: str) -> int:
    return httpx.get(f"{house.base_url}/api/v1/sessions/{session}", timeout=10).status_code


def test_all_that_was_there_comes_back(house: House, tmp_path: Path) -> None:
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": "harbours"}).raise_for_status()
    before = [ingest(house, number) for number in range(8)]
    session = httpx.post(f"{api}/sessions", json={"title": "Harbours"}).raise_for_status().json()["id"]
    stop, during = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            during.append(ingest(house, 100 + len(during)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = backup(house, "create", str(tmp_path / "backups"))
    finally:
        stop.set()
        writer.join()
    assert made.returncode == 0, made.stderr
    assert during
    folder = Path(made.stdout.splitlines()[-1].removeprefix("backup: "))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["canaries"]
    assert [talk["session_id"] for talk in manifest["conversations"]] == [session]
    assert KEY not in made.stdout + made.stderr + json.dumps(manifest)
    assert backup(house, "verify", str(folder)).returncode == 0

    # Emptied as a new machine is: no data folder at all.
    house.stop()
    house.directory.rename(tmp_path / "lost")
    house.start()
    assert document_status(house, before[0]) == 404
    restored = backup(house, "restore", "--yes", str(folder))
    assert restored.returncode == 0, restored.stderr
    assert "session: has 0 messages, 1 sessions" in restored.stdout
    assert f", {manifest['files']['vector.snapshot']['counts']['documents']} documents, " in restored.stdout

    house.wait_ready(60)
    assert [document_status(house, document) for document in before] == [200] * len(before)
    assert session_status(house, session) == 200
    kept = sum(document_status(house, document) == 200 for document in (*before, *during))
    assert kept == manifest["files"]["vector.snapshot"]["counts"]["documents"]
    found = httpx.post(
        f"{api}/collections/harbours/search", json={"query": "How deep is harbour number 3?"}, timeout=30
    ).raise_for_status()
    assert found.json()["hits"]
    # And goes on: what comes after a restore is taken and kept.
    assert document_status(house, ingest(house, 999)) == 200


@pytest.mark.parametrize("name", ["vector.snapshot", "session.snapshot", "manifest.json"])
def test_a_flipped_byte_is_refused_and_living_data_stay(house: House, tmp_path: Path, name: str) -> None:
    api = f"{house.base_url}/api/v1"
    httpx.post(f"{api}/collections", json={"name": "harbours"}).raise_for_status()
    ingest(house, 1)
    made = backup(house, "create", str(tmp_path / "backups"))
    assert made.returncode == 0, made.stderr
    folder = Path(made.stdout.splitlines()[-1].removeprefix("backup: "))
    later = ingest(house, 2)
    session = httpx.post(f"{api}/sessions", json={"title": "Later"}).raise_for_status().json()["id"]
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))

    for words in (("verify",), ("restore", "--yes")):
        refused = backup(house, *words, str(folder))
        assert refused.returncode == 1
        assert name in refused.stderr

    assert document_status(house, later) == 200
    assert session_status(house, session) == 200
