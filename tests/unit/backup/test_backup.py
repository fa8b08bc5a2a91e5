"""A backup is whole or not there, is checked without a house, and is gone back to without a doubt."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.backup import clients
from services.backup.__main__ import main
from services.backup.contents import Contents
from services.backup.copying import Copying
from services.chassis.errors import AbortedError, InvalidArgumentError, UnavailableError
from tests.unit.backup.keepers import KEY, Kept, served

TEXTS = {f"doc{n}": f"the harbour number {n} is {n * 3} metres deep and has light{n}" for n in range(30)}


@dataclass
class House:
    """Both scripted services, and where backups go."""

    vector: Kept
    session: Kept
    backups: Path
    addresses: dict[str, str]

    @property
    def folders(self) -> list[str]:
        return sorted(path.name for path in self.backups.iterdir() if path.name != ".lock")

    def create(self, *words: str) -> Path:
        before = set(self.folders) if self.backups.exists() else set()
        assert main(["create", str(self.backups), *words]) == 0
        [name] = set(self.folders) - before
        return self.backups / name


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    vector = Kept("vector", ("documents", "chunks", "vectors"), dict(TEXTS))
    session = Kept("session", ("sessions", "messages"), {"ses_1": "hello", "ses_2": "there"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clients, "_READY_SECONDS", 1.0)
    monkeypatch.setattr(clients, "_PAUSE_SECONDS", 0.05)
    with served(vector) as vector_address, served(session) as session_address:
        addresses = {
            "MELD_VECTOR_ADDRESS": vector_address,
            "MELD_SESSION_ADDRESS": session_address,
            "MELD_SNAPSHOT_KEY": KEY.decode(),
        }
        for name, value in addresses.items():
            monkeypatch.setenv(name, value)
        yield House(vector, session, tmp_path / "backups", addresses)


def test_a_backup_is_private_named_by_its_time_and_checked_by_people(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()

    assert re.fullmatch(r"\d{8}_\d{6}", folder.name)
    assert capsys.readouterr().out.splitlines()[-1] == f"backup: {folder}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("vector.snapshot", "session.snapshot", "manifest.json", "SHA256SUMS"), 0o600
    )
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["vector.snapshot"]["counts"] == {"documents": 30, "chunks": 30, "vectors": 30}
    assert len(manifest["conversations"]) == 1
    assert manifest["expiring"] == {"sessions": 0, "messages": 0}
    assert len(manifest["canaries"]) == 20
    assert main(["verify", str(folder)]) == 0


def test_two_in_a_second_have_two_names_and_the_oldest_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.backup import folder as folders

    moment = folders.now()
    monkeypatch.setattr(folders, "now", lambda: moment)
    first, second = house.create(), house.create()
    assert second.name == f"{first.name}_2"
    others = ("notes", "20200101_000000", "20200101_000001.old")
    for name in others:
        (house.backups / name).mkdir()
    (house.backups / "notes" / "manifest.json").write_text("{}")

    third = house.create("--keep", "2")

    # What holds no manifest, or has another name, is not ours to remove.
    assert set(house.folders) == {second.name, third.name, *others}


def test_a_canary_that_changed_while_the_backup_ran_is_left_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Copying.begin

    def while_copying(copying: Copying) -> None:
        # A new document takes no canary away; one of theirs that changes does.
        house.vector.items["doc-new"] = TEXTS["doc3"]
        house.vector.items["doc25"] = "another text"
        real(copying)

    monkeypatch.setattr(Copying, "begin", while_copying)
    folder = house.create()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert 0 < len(manifest["canaries"]) < 20
    assert main(["restore", "--yes", str(folder)]) == 0


def test_nothing_is_left_of_a_backup_that_failed(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.vector.cut = True

    assert main(["create", str(house.backups)]) == 1

    assert house.folders == []
    assert "backup: the vector service at" in capsys.readouterr().err


def test_a_service_that_does_not_answer_is_named(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.session.serving = False

    assert main(["create", str(house.backups)]) == 1

    assert "the session service" in capsys.readouterr().err
    assert house.folders == []


def test_wrong_words_and_settings_are_told_apart_from_failure(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ([], ["create"], ["create", "x", "--keep", "0"], ["copy", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    monkeypatch.setenv("MELD_DRAIN_SECONDS", "soon")
    assert main(["verify", "x"]) == 2


def test_a_signal_leaves_nothing_and_a_kill_only_what_the_next_one_removes(house: House) -> None:
    house.vector.blocked = threading.Event()
    for number, code in ((signal.SIGTERM, 1), (signal.SIGKILL, -9)):
        process = subprocess.Popen(
            [sys.executable, "-m", "services.backup", "create", str(house.backups)],
            env={
                **os.environ,
                **house.addresses,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + 30
            while not list(house.backups.glob("*.partial/vector.snapshot")) and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(number)
            assert process.wait(20) == code
        finally:
            process.kill()
        assert len(house.folders) == (number == signal.SIGKILL)
    house.vector.blocked.set()
    house.vector.blocked = None
    assert not [name for name in [house.create().name, *house.folders] if name.endswith(".partial")]


def damages(folder: Path) -> Iterator[tuple[str, str]]:
    """Damages a backup in turn; what verify must say, with the file it is about."""
    for name in ("vector.snapshot", "session.snapshot", "manifest.json", "SHA256SUMS"):
        path = folder / name
        sound = path.read_bytes()
        for place in (0, len(sound) // 2, len(sound) - 2):
            changed = bytearray(sound)
            changed[place] ^= 1
            path.write_bytes(bytes(changed))
            yield name, f"flipped at {place}"
        path.write_bytes(sound[:-1])
        yield name, "cut"
        path.unlink()
        yield name, "missing"
        path.symlink_to("/dev/null")
        yield name, "a link"
        path.unlink()
        os.mkfifo(path)
        yield name, "a pipe"
        path.unlink()
        path.write_bytes(sound)
    (folder / "more").touch()
    yield "more", "a file too many"
    (folder / "more").unlink()


def test_damage_is_found_and_named_and_refused_before_anything_changes(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()
    house.vector.calls.clear()
    house.session.calls.clear()
    for name, damage in damages(folder):
        capsys.readouterr()
        assert main(["verify", str(folder)]) == 1, (name, damage)
        said = capsys.readouterr().err
        assert name in said or "manifest.json" in said or "SHA256SUMS" in said, (name, damage, said)
        assert main(["restore", "--yes", str(folder)]) == 1, (name, damage)
    assert house.vector.calls == house.session.calls == []
    assert main(["verify", str(folder)]) == 0


def test_another_key_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()
    monkeypatch.setenv("MELD_SNAPSHOT_KEY", "another secret key")

    assert main(["verify", str(folder)]) == 1
    said = capsys.readouterr()
    assert "MELD_SNAPSHOT_KEY" in said.err
    assert "another secret key" not in said.out + said.err
    assert main(["create", str(house.backups)]) == 1
    assert house.folders == [folder.name]


def test_a_restore_brings_both_back(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    folder = house.create()
    sessions = dict(house.session.items)
    house.vector.items, house.session.items = {"other": "text"}, {}

    assert main(["restore", "--yes", str(folder)]) == 0

    assert (house.vector.items, house.session.items) == (TEXTS, sessions)
    assert capsys.readouterr().out.splitlines()[-1] == f"restored: {folder}"


def test_without_a_yes_nothing_is_restored(house: House) -> None:
    folder = house.create()
    house.vector.items = {}

    assert main(["restore", str(folder)]) == 2

    assert house.vector.items == {}


def test_what_may_pass_is_tried_again_as_the_same_request(house: House) -> None:
    folder = house.create()
    house.session.calls.clear()
    house.session.refusals = [
        AbortedError("busy", reason="IMPORT_RUNNING"),
        UnavailableError("gone", reason="STORE_UNAVAILABLE"),
    ]

    assert main(["restore", "--yes", str(folder)]) == 0

    assert len(house.session.calls) == 3
    assert len(set(house.session.calls)) == 1
    assert house.session.calls[0][1].startswith("restore-")


@pytest.mark.parametrize("first", [True, False])
def test_a_half_restore_says_how_things_stand_and_a_repeat_finishes_it(
    house: House, first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()
    house.vector.items, house.session.items = {"other": "text"}, {"other": "x"}
    refusing = house.vector if first else house.session
    refusing.refusals = [InvalidArgumentError("no", reason="SNAPSHOT_INVALID")]

    assert main(["restore", "--yes", str(folder)]) == 1

    said = capsys.readouterr().err
    assert f"the {refusing.name} service has what it had before" in said
    assert ("the session service was not touched" in said) == first
    assert ("the vector service has the documents of the backup" in said) != first
    assert "restore the same backup again" in said
    assert (house.vector.items == TEXTS) != first
    assert house.session.items == {"other": "x"}
    assert main(["restore", "--yes", str(folder)]) == 0
    assert house.vector.items == TEXTS


def test_a_house_that_answers_otherwise_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()
    real = Kept.take

    def loses(self: Kept, requests: object, rpc: object) -> int:
        count = real(self, requests, rpc)
        if self.name == "vector":
            self.items["doc5"] = "something else"
            count -= 1
        return count

    monkeypatch.setattr(Kept, "take", loses)

    assert main(["restore", "--yes", str(folder)]) == 1

    said = capsys.readouterr().err
    assert "documents: 29 were taken, and 30 are in the backup" in said
    assert "doc5" in said


def test_a_document_or_session_that_was_lost_is_told_whatever_the_import_answered(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = house.create()
    house.vector.loses, house.session.loses = {"doc0"}, {"ses_2"}

    assert main(["restore", "--yes", str(folder)]) == 1

    said = capsys.readouterr().err
    for kind in ("documents", "chunks", "vectors"):
        assert f"{kind}: 29 are there, and 30 in the backup" in said
    for kind in ("sessions", "messages"):
        assert f"{kind}: 1 are there, and 2 in the backup" in said
    house.vector.loses, house.session.loses = set(), set()
    assert main(["restore", "--yes", str(folder)]) == 0


@pytest.mark.parametrize("lost", [True, False])
def test_a_conversation_that_is_not_as_it_was_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: bool
) -> None:
    folder = house.create()
    real = Kept.take

    def changes(self: Kept, requests: object, rpc: object) -> int:
        count = real(self, requests, rpc)
        if self.name == "session":
            if lost:
                self.items["ses_9"] = self.items.pop("ses_1")
            else:
                self.items["ses_1"] = "something else"
        return count

    monkeypatch.setattr(Kept, "take", changes)

    assert main(["restore", "--yes", str(folder)]) == 1

    said = capsys.readouterr().err
    assert ("session ses_1: nothing, and 'of ses_1' with 1 messages" in said) == lost
    assert "session ses_1: " in said
    assert "are there" not in said


def test_a_session_that_had_little_time_left_may_be_gone(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.session.items["ses_3"] = "soon"
    house.session.ends["ses_3"] = time.time() + 60
    folder = house.create()
    house.session.loses = {"ses_3"}
    assert main(["restore", "--yes", str(folder)]) == 0

    house.session.loses = {"ses_3", "ses_2"}
    assert main(["restore", "--yes", str(folder)]) == 1

    assert (
        "sessions: 1 are there, and 3 in the backup, of which 1 may have expired" in capsys.readouterr().err
    )


def test_what_no_list_shows_to_the_house_is_not_missed(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions of people who log in: only they see them."""
    house.session.items["ses_of_olga"] = "hers"
    house.session.of_others = {"ses_of_olga"}
    folder = house.create()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["session.snapshot"]["counts"]["sessions"] == 3
    assert manifest["listed"]["sessions"] == 2
    house.session.items = {}
    assert main(["restore", "--yes", str(folder)]) == 0
    assert house.session.items.keys() == {"ses_1", "ses_2", "ses_of_olga"}

    house.session.loses = {"ses_2"}
    assert main(["restore", "--yes", str(folder)]) == 1
    assert "sessions: 1 are there, and 2 in the backup" in capsys.readouterr().err


def test_what_was_added_since_is_not_wrong(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = house.create()
    real = Kept.take

    def goes_on(self: Kept, requests: object, rpc: object) -> int:
        count = real(self, requests, rpc)
        self.items["later"] = "an other text"
        return count

    monkeypatch.setattr(Kept, "take", goes_on)
    assert main(["restore", "--yes", str(folder)]) == 0


def test_a_manifest_without_conversations_is_read(house: House) -> None:
    """As releases before wrote it."""
    folder = house.create()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["conversations"], manifest["expiring"]

    contents = Contents.from_json(json.dumps(manifest).encode())

    assert (contents.conversations, contents.expiring) == ((), None)


def test_a_folder_that_is_no_backup_is_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.backups.mkdir()
    assert main(["verify", str(house.backups)]) == 1
    assert "is no backup" in capsys.readouterr().err
    folder = house.create()
    newer = house.backups / "copy"
    shutil.copytree(folder, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    assert main(["verify", str(newer)]) == 1
    assert "newer release" in capsys.readouterr().err
