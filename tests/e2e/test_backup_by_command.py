"""A house that people log in to: backed up by `meld` while it is written to, emptied, and brought back."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_command_line import Screen
from tests.support.launched import ROOT, House, launched

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

LOGIN = {
    "MELD_LOGIN": "required",
    "JWT_SECRET_KEY": "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU",
    "MELD_SETUP_CODE": "lift-off-41",
    "MELD_SNAPSHOT_KEY": "key-of-the-owner-of-this-test",
    "MELD_RATE_LIMIT_PER_MINUTE": "100000",
}
PASSWORD = "the tide comes at nine"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with launched(tmp_path / "data", {**LOGIN, "MELD_SPOOL_DIR": str(tmp_path / "spool")}) as started:
        yield started


class Person:
    """Somebody at a shell, with a folder for settings."""

    def __init__(self, house: House, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELD_", "XDG_"))}
        self.environment = {
            **kept,
            "MELD_URL": house.base_url,
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHONPATH": str(ROOT / "clients" / "meld"),
            "TERM": "xterm-256color",
            "COLUMNS": "80",
            "LINES": "40",
        }

    def meld(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "meldrag_cli", *words],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def done(self, *words: str, typed: str = "") -> Any:
        """What a command answers in JSON, its last line."""
        ended = self.meld(*words, "--json", typed=typed)
        assert ended.returncode == 0, ended.stderr
        assert PASSWORD not in ended.stdout + ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])


def client(house: House, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{house.base_url}/api/v1", timeout=60, headers={"Authorization": f"Bearer {key}"}
    )


def ingest(http: httpx.Client, number: int) -> str:
    text = f"# Harbour {number}\n\nThe harbour number {number} is {number + 3} metres deep. Light {number}.\n"
    sent = http.post("/collections/harbours/documents", files={"file": (f"{number}.md", text.encode())})
    return str(sent.raise_for_status().json()["id"])


def there(http: httpx.Client) -> dict[str, Any]:
    """What a person sees of the house, but for times that a restore moves."""
    session = http.get("/sessions").json()["sessions"][0]["id"]
    documents = http.get("/collections/harbours/documents?page_size=1000").json()["documents"]
    return {
        "documents": {each["id"]: (each["title"], each["bytes"]) for each in documents},
        "messages": http.get(f"/sessions/{session}/messages").json()["messages"],
        "attachments": [
            {name: value for name, value in each.items() if name != "expires"}
            for each in http.get(f"/attachments?session_id={session}").json()["attachments"]
        ],
        "workflow": http.get("/workflows/mine").json(),
        "users": http.get("/users").json()["users"],
        "keys": [each["id"] for each in http.get("/api-keys").json()["api_keys"]],
        "runs": [each["run_id"] for each in http.get("/runs").json()["runs"]],
    }


def furnish(http: httpx.Client) -> list[str]:
    """One of everything; the documents."""
    http.post("/users", json={"name": "vera", "password": PASSWORD, "role": "viewer"}).raise_for_status()
    http.post("/collections", json={"id": "harbours"}).raise_for_status()
    documents = [ingest(http, number) for number in range(8)]
    session = http.post("/sessions", json={"title": "Harbours"}).json()["id"]
    body = {"session_id": session}
    http.post("/attachments", data=body, files={"file": ("a.txt", b"a light")}).raise_for_status()
    run = {"agent": "research", "message": "How deep is harbour 3?", "session_id": session}
    http.post("/runs", json={**run, "collections": ["harbours"]}).raise_for_status()
    steps = [{"step_id": "one", "agent_id": "research"}]
    http.post("/workflows", json={"id": "mine", "title": "Mine", "steps": steps}).raise_for_status()
    return documents


def backed_up_under_load(olga: Person, http: httpx.Client) -> tuple[Any, list[str]]:
    """What `meld backup` told, and the documents that came meanwhile."""
    stop, during = threading.Event(), list[str]()

    def write() -> None:
        while not stop.is_set():
            during.append(ingest(http, 100 + len(during)))

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            made = olga.done("backup")
        finally:
            stop.set()
        writer.result()
    assert during
    return made, during


def test_all_comes_back_by_the_command_line(house: House, tmp_path: Path) -> None:
    olga = Person(house, tmp_path / "olga")
    assert olga.done("setup", "olga", typed=f"{PASSWORD}\nlift-off-41\n")["role"] == "owner"
    key = olga.done("keys", "create", "nightly")["secret"]
    with client(house, key) as http:
        acknowledged = furnish(http)
        audit, before = http.get("/audit").json()["entries"], there(http)
        made, during = backed_up_under_load(olga, http)
    archive = olga.folder / made["file"]
    assert archive.stat().st_size == made["bytes"]
    assert archive.stat().st_mode & 0o777 == 0o600
    checked = olga.done("verify-backup", made["file"])
    counts = {kind: count for part in checked["parts"] for kind, count in part["counts"].items()}
    assert (counts["users"], counts["apikeys"], counts["items"], counts["attachments"]) == (2, 1, 1, 1)

    # Emptied as a new machine is: no data folder at all.
    house.stop()
    house.directory.rename(tmp_path / "lost")
    house.start()
    stranger = Person(house, tmp_path / "stranger")
    assert stranger.meld("verify-backup", str(archive)).returncode == 1
    stranger.done("setup", "somebody", typed=f"{PASSWORD}\nlift-off-41\n")
    restored = stranger.done("restore", "--yes", str(archive))
    assert restored["there"]["documents"] == counts["documents"]

    # Who the house had before is there, and who emptied it is not.
    assert stranger.meld("whoami").returncode == 1
    assert olga.done("login", "olga", typed=f"{PASSWORD}\n")["role"] == "owner"
    house.wait_ready(60)
    with client(house, key) as http:
        after = there(http)
        assert set(acknowledged) <= after["documents"].keys()
        assert after["documents"].keys() <= {*acknowledged, *during}
        assert len(after["documents"]) == counts["documents"]
        for each in during:
            after["documents"].pop(each, None)
        assert after == before
        log = http.get("/audit").json()["entries"]
        assert log[-len(audit) :] == audit
        found = http.post("/collections/harbours/search", json={"query": "How deep is harbour number 3?"})
        assert found.raise_for_status().json()["hits"]
        assert ingest(http, 999)


def test_two_hundred_damaged_archives_change_nothing(house: House, tmp_path: Path) -> None:
    olga = Person(house, tmp_path / "olga")
    olga.done("setup", "olga", typed=f"{PASSWORD}\nlift-off-41\n")
    key = olga.done("keys", "create", "nightly")["secret"]
    with client(house, key) as http:
        http.post("/collections", json={"id": "harbours"}).raise_for_status()
        ingest(http, 1)
        sound = (olga.folder / olga.done("backup", "sound.tar")["file"]).read_bytes()
        later = ingest(http, 2)
        session = http.post("/sessions", json={"title": "Later"}).json()["id"]
        chance = random.Random(20261126)
        for number in range(200):
            place = chance.randrange(len(sound))
            damaged = bytearray(sound if number % 2 else sound[:place])
            if number % 2:
                damaged[place] ^= 1 << chance.randrange(8)
            answer = http.post(
                "/restore", content=bytes(damaged), headers={"Content-Type": "application/x-tar"}
            )
            assert answer.status_code == 422, (number, place, answer.text)
        # Who goes in the middle of sending changes nothing either.
        with pytest.raises(httpx.TransportError):
            http.post("/restore", content=broken_off(sound), headers={"Content-Type": "application/x-tar"})
        assert http.get(f"/collections/harbours/documents/{later}").status_code == 200
        assert http.get(f"/sessions/{session}").status_code == 200
        assert not list(tmp_path.rglob("*.partial"))
        # One at a time: whoever comes while another still sends is told so.
        go_on = threading.Event()

        def slowly() -> Iterator[bytes]:
            yield sound[: len(sound) // 2]
            assert go_on.wait(60)
            yield sound[len(sound) // 2 :]

        def verified(content: bytes | Iterator[bytes]) -> httpx.Response:
            return http.post("/backup/verify", content=content, headers={"Content-Type": "application/x-tar"})

        assert eventually(lambda: not taken(tmp_path))
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(verified, slowly())
            try:
                assert eventually(lambda: taken(tmp_path))
                second = verified(sound)
            finally:
                go_on.set()
            assert (second.status_code, second.json()["reason"]) == (409, "BACKUP_RUNNING")
            assert first.result().status_code == 200
        assert verified(sound).status_code == 200


def taken(folder: Path) -> bool:
    """Whether the gateway is at a backup: what it unpacks has a folder as long as nobody else may come."""
    return bool(list(folder.glob("spool/*/archive-*")))


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it is so within half a minute."""
    end = time.monotonic() + 30
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def broken_off(data: bytes) -> Iterator[bytes]:
    yield data[: len(data) // 2]
    raise httpx.WriteError("the cable is out")


def test_who_may_not_administer_gets_and_brings_nothing(house: House, tmp_path: Path) -> None:
    olga, vera = Person(house, tmp_path / "olga"), Person(house, tmp_path / "vera")
    olga.done("setup", "olga", typed=f"{PASSWORD}\nlift-off-41\n")
    olga.done("backup", "sound.tar")
    key = olga.done("keys", "create", "people")["secret"]
    with client(house, key) as http:
        http.post("/users", json={"name": "vera", "password": PASSWORD, "role": "member"}).raise_for_status()
    signing_in = Screen(vera.environment, vera.folder, "login", "vera")
    signing_in.until("Password: ")
    signing_in.type(f"{PASSWORD}\n")
    code, said = signing_in.end()
    assert (code, f"signed in at {house.base_url}: vera (member)" in said, PASSWORD in said) == (
        0,
        True,
        False,
    )
    for words in (
        ["backup", "mine.tar"],
        ["verify-backup", str(olga.folder / "sound.tar")],
        ["restore", "--yes", str(olga.folder / "sound.tar")],
    ):
        refused = vera.meld(*words)
        assert refused.returncode == 1
        assert "SCOPE_MISSING" in refused.stderr
    assert not (vera.folder / "mine.tar").exists()
    restoring = Screen(olga.environment, olga.folder, "restore", "sound.tar")
    restoring.until("Replace all documents, conversations and users")
    restoring.type("n\n")
    code, said = restoring.end()
    assert (code, "nothing was done" in said) == (1, True)
    # Commands at once share one login, and end it for none of them.
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: vera.meld("whoami", "--json").returncode, range(8)))
    assert ended == [0] * 8
    assert vera.meld("logout").returncode == 0
    assert "CREDENTIAL_MISSING" in vera.meld("whoami").stderr
