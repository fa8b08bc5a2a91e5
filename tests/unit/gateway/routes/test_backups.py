"""All that is kept, as one file over HTTP: whole, or nothing has changed."""

from __future__ import annotations

import io
import json
import random
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.backup import clients as backup_clients
from services.backup.__main__ import main
from services.chassis.errors import AbortedError, InvalidArgumentError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from services.gateway.spool import Spool
from services.gateway.streaming import BrokenOffError
from tests.support.documented import NOWHERE
from tests.unit.backup.keepers import KEY, Kept, served
from tests.unit.gateway.conftest import client_of

API = "/api/v1"
TAR = "application/x-tar"
TEXTS = {f"doc{n}": f"the harbour number {n} is {n * 3} metres deep and has light{n}" for n in range(20)}
FILES = {"manifest.json", "SHA256SUMS", "session.snapshot", "vector.snapshot"}


@dataclass
class House:
    """Both scripted services, and a gateway before them."""

    vector: Kept
    session: Kept
    http: FlaskClient
    spool: Path
    environment: dict[str, str]

    @property
    def kept(self) -> tuple[dict[str, str], dict[str, str]]:
        return dict(self.vector.items), dict(self.session.items)

    def backup(self) -> bytes:
        answer = self.http.post(f"{API}/backup")
        assert (answer.status_code, answer.content_type) == (200, TAR), answer.text
        assert answer.content_length == len(answer.data)
        return answer.data

    def send(self, path: str, archive: bytes, **headers: str) -> TestResponse:
        return self.http.post(f"{API}{path}", data=archive, content_type=TAR, headers=headers)

    @property
    def left(self) -> list[Path]:
        return list(self.spool.glob("archive-*"))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    vector = Kept("vector", ("documents", "chunks", "vectors"), dict(TEXTS))
    session = Kept("session", ("sessions", "messages"), {"ses_1": "hello", "ses_2": "there"})
    monkeypatch.setattr(backup_clients, "_READY_SECONDS", 1.0)
    monkeypatch.setattr(backup_clients, "_PAUSE_SECONDS", 0.05)
    with served(vector) as vector_address, served(session) as session_address:
        addresses = {"meld_vector_address": vector_address, "meld_session_address": session_address}
        settings = GatewaySettings(
            **addresses,  # type: ignore[arg-type]
            meld_snapshot_key=KEY.decode(),  # type: ignore[arg-type]
            meld_max_backup_bytes=1_000_000,
        )
        door = Door(settings, Clients(NOWHERE), slots_for(16), spool=Spool(tmp_path / "spool"))
        environment = {name.upper(): value for name, value in addresses.items()}
        environment["MELD_SNAPSHOT_KEY"] = KEY.decode()
        yield House(vector, session, client_of(door), tmp_path / "spool", environment)


def events(answer: TestResponse) -> list[tuple[str, Any]]:
    found = []
    for block in answer.text.split("\n\n"):
        if block.startswith("event: "):
            name, data = block.split("\n", 1)
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_an_archive_is_what_make_backup_writes(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = house.http.post(f"{API}/backup")

    name = answer.headers["Content-Disposition"].split('"')[1]
    assert answer.headers["Cache-Control"] == "no-store"
    (tmp_path / name).write_bytes(answer.data)
    subprocess.run(["tar", "xf", name], cwd=tmp_path, check=True)
    folder = tmp_path / name.removeprefix("meld-").removesuffix(".tar")
    assert {path.name for path in folder.iterdir()} == FILES
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    for variable, value in house.environment.items():
        monkeypatch.setenv(variable, value)
    assert main(["verify", str(folder)]) == 0
    before, house.vector.items, house.session.items = house.kept, {}, {}
    assert main(["restore", "--yes", str(folder)]) == 0
    assert house.kept == before


def test_a_folder_of_make_backup_is_taken_as_tar_packs_it(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in house.environment.items():
        monkeypatch.setenv(variable, value)
    assert main(["create", str(tmp_path / "backups")]) == 0
    [folder] = (path for path in (tmp_path / "backups").iterdir() if path.name != ".lock")
    for words in (["-C", str(folder.parent), folder.name], ["-C", str(folder), "."]):
        packed = subprocess.run(["tar", "cf", "-", *words], stdout=subprocess.PIPE, check=True).stdout
        assert house.send("/backup/verify", packed).status_code == 200


def test_what_is_checked_is_described_and_changes_nothing(house: House) -> None:
    archive = house.backup()
    house.vector.items = {"later": "text"}
    before = house.kept

    told = house.send("/backup/verify", archive).json

    assert told is not None
    assert [part["name"] for part in told["parts"]] == ["session", "vector"]
    assert told["parts"][1]["counts"] == {"documents": 20, "chunks": 20, "vectors": 20}
    assert (told["queries"], told["conversations"]) == (20, 1)
    assert house.kept == before
    assert ("import", "") not in house.vector.calls
    assert house.left == []


def test_a_restore_brings_all_back_and_tells_how_far_it_is(house: House) -> None:
    archive, before = house.backup(), house.kept
    house.vector.items, house.session.items = {"other": "text"}, {}

    told = events(house.send("/restore", archive, Accept="text/event-stream"))

    assert house.kept == before
    assert [name for name, _ in told] == ["step"] * (len(told) - 1) + ["end"]
    stages = list(dict.fromkeys(data["stage"] for name, data in told if name == "step"))
    assert stages == ["verifying", "documents", "sessions", "comparing"]
    for name, data in told[:-1]:
        assert name == "step"
        assert 0 <= data["done"] <= data["total"]
    assert told[-1][1]["there"]["documents"] == 20
    assert house.left == []


def places(size: int) -> Iterator[tuple[str, int]]:
    chance = random.Random(20261126)
    for _ in range(100):
        yield "flip", chance.randrange(size)
        yield "cut", chance.randrange(size)


def test_damage_at_two_hundred_places_is_refused_and_nothing_changes(house: House) -> None:
    archive = house.backup()
    house.vector.items = {"living": "text"}
    before, calls = house.kept, len(house.vector.calls) + len(house.session.calls)
    for damage, place in places(len(archive)):
        changed = bytearray(archive[:place] if damage == "cut" else archive)
        if damage == "flip":
            changed[place] ^= 1 << (place % 8)
        answer = house.send("/restore", bytes(changed))
        assert answer.status_code == 422, (damage, place, answer.text)
    assert house.kept == before
    assert len(house.vector.calls) + len(house.session.calls) == calls
    assert house.left == []


def test_every_byte_of_the_heads_and_fillings_counts(house: House) -> None:
    """What is no part of a file: a random place seldom falls there."""
    archive = house.backup()
    with tarfile.open(fileobj=io.BytesIO(archive)) as sound:
        files = sound.getmembers()
    inside = {place for each in files for place in range(each.offset_data, each.offset_data + each.size)}
    outside = [place for place in range(len(archive)) if place not in inside]
    for place in random.Random(3).sample(outside, 100) + outside[-1:]:
        changed = bytearray(archive)
        changed[place] ^= 1
        assert house.send("/backup/verify", bytes(changed)).status_code == 422, place


Change = Callable[[list[tarfile.TarInfo], dict[str, bytes]], None]


def renamed(name: str) -> Change:
    def change(entries: list[tarfile.TarInfo], _: dict[str, bytes]) -> None:
        entries[0].name = name

    return change


def typed(kind: bytes, target: str = "") -> Change:
    def change(entries: list[tarfile.TarInfo], _: dict[str, bytes]) -> None:
        entries[0].type, entries[0].linkname, entries[0].size = kind, target, 0

    return change


def moded(entries: list[tarfile.TarInfo], _: dict[str, bytes]) -> None:
    entries[0].mode = 0o4755


def twice(entries: list[tarfile.TarInfo], _: dict[str, bytes]) -> None:
    entries.append(entries[0])


def missing(entries: list[tarfile.TarInfo], _: dict[str, bytes]) -> None:
    del entries[0]


def one_too_many(entries: list[tarfile.TarInfo], data: dict[str, bytes]) -> None:
    more = tarfile.TarInfo(f"{entries[0].name}.more")
    data[more.name] = b""
    entries.append(more)


HOSTILE: dict[str, Change] = {
    "parent": renamed("../session.snapshot"),
    "absolute": renamed("/etc/session.snapshot"),
    "two folders": renamed("20200101_000000/session.snapshot"),
    "deep": renamed("20200101_000000/20200101_000000/session.snapshot"),
    "symlink": typed(tarfile.SYMTYPE, "/etc/passwd"),
    "hardlink": typed(tarfile.LNKTYPE, "manifest.json"),
    "device": typed(tarfile.CHRTYPE),
    "fifo": typed(tarfile.FIFOTYPE),
    "sparse": typed(tarfile.GNUTYPE_SPARSE),
    "setuid": moded,
    "twice": twice,
    "missing": missing,
    "one too many": one_too_many,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(house: House, name: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(house.backup())) as sound:
        entries = sound.getmembers()
        data = {each.name: sound.extractfile(each).read() for each in entries}  # type: ignore[union-attr]
    kept = list(data.values())
    HOSTILE[name](entries, data)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for place, each in enumerate(entries):
            content = data.get(each.name, kept[min(place, len(kept) - 1)])
            archive.addfile(each, io.BytesIO(content))
    before = house.kept

    answer = house.send("/restore", packed.getvalue())

    assert answer.status_code == 422, answer.text
    assert house.kept == before
    assert house.left == []


def test_a_million_entries_or_a_bomb_are_not_read_to_their_end(house: House) -> None:
    head = tarfile.TarInfo("20200101_000000/").tobuf()
    assert house.send("/restore", head * 1_500).status_code == 422
    large = tarfile.TarInfo("20200101_000000/vector.snapshot")
    large.size = 1 << 40
    cut = house.send("/restore", large.tobuf(tarfile.GNU_FORMAT) + bytes(500_000))
    assert cut.status_code == 422
    over = house.send("/restore", bytes(1_000_001))
    assert (over.status_code, over.json and over.json["reason"]) == (413, "BODY_TOO_LARGE")


def test_a_newer_backup_is_told_apart(house: House, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(house.backup())) as sound:
        sound.extractall(tmp_path, filter="data")
    [folder] = (path for path in tmp_path.iterdir() if (path / "manifest.json").is_file())
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    packed = subprocess.run(
        ["tar", "cf", "-", "-C", str(tmp_path), folder.name], stdout=subprocess.PIPE, check=True
    ).stdout

    answer = house.send("/restore", packed)

    assert (answer.status_code, answer.json and answer.json["reason"]) == (409, "BACKUP_NEWER")


def test_one_at_a_time(house: House) -> None:
    archive = house.backup()
    with Spool(house.spool).alone():
        for path, body in (("/backup", None), ("/backup/verify", archive), ("/restore", archive)):
            kind = {} if body is None else {"content_type": TAR, "data": body}
            answer = house.http.post(f"{API}{path}", **kind)  # type: ignore[arg-type]
            assert answer.status_code == 409
            assert answer.json is not None
            assert answer.json["reason"] == "BACKUP_RUNNING"
    assert house.send("/backup/verify", archive).status_code == 200


def test_a_service_that_refuses_leaves_what_was_there_and_says_why(house: House) -> None:
    archive = house.backup()
    house.vector.items = {"living": "text"}
    before = house.kept
    house.vector.refusals = [InvalidArgumentError("no", reason="SNAPSHOT_INVALID")]

    answer = house.send("/restore", archive)

    assert (answer.status_code, answer.json and answer.json["reason"]) == (400, "SNAPSHOT_INVALID")
    assert "has what it had before" in answer.text
    assert str(house.spool) not in answer.text
    assert house.kept == before


def test_a_service_that_is_away_is_waited_for_and_told(house: House) -> None:
    archive = house.backup()
    house.session.serving = False
    for answer in (house.http.post(f"{API}/backup"), house.send("/restore", archive)):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


def test_half_a_backup_is_never_taken_for_a_whole_one(house: House) -> None:
    """What breaks off in the middle has no end, and fewer bytes than were told."""
    house.vector.cut = True
    answer = house.http.post(f"{API}/backup", buffered=False)
    assert answer.status_code == 200
    with pytest.raises(BrokenOffError, match="cut"):
        b"".join(answer.response)
    answer.close()
    assert house.left == []
    house.vector.cut = False
    assert house.backup()


def test_another_key_is_refused(house: House, tmp_path: Path) -> None:
    archive = house.backup()
    settings = GatewaySettings(
        meld_vector_address=house.environment["MELD_VECTOR_ADDRESS"],
        meld_session_address=house.environment["MELD_SESSION_ADDRESS"],
        meld_snapshot_key="another secret key",  # type: ignore[arg-type]
    )
    http = client_of(Door(settings, Clients(NOWHERE), slots_for(16), spool=Spool(tmp_path / "other")))

    refused = http.post(f"{API}/backup/verify", data=archive, content_type=TAR)
    made = http.post(f"{API}/backup")

    assert refused.status_code == 422
    assert "MELD_SNAPSHOT_KEY" in refused.text
    assert (made.status_code, made.json and made.json["reason"]) == (502, "SNAPSHOT_UNUSABLE")
    assert "another secret key" not in refused.text + made.text


def test_without_a_login_only_this_machine_is_served(house: House) -> None:
    for path in ("/backup", "/backup/verify", "/restore"):
        for words in ({"environ_base": {"REMOTE_ADDR": "10.0.0.3"}}, {"headers": {"Via": "1.1 proxy"}}):
            answer = house.http.post(f"{API}{path}", **words)  # type: ignore[arg-type]
            assert answer.status_code == 403
            assert answer.json is not None
            assert answer.json["reason"] == "BACKUP_NOT_ALLOWED"


def test_what_is_no_archive_is_told_by_its_type(house: House) -> None:
    assert house.http.post(f"{API}/restore", json={}).status_code == 415
    assert house.http.post(f"{API}/backup", json={"all": True}).status_code == 400
    assert house.send("/restore", b"").status_code == 422


def test_a_restore_goes_on_when_nobody_waits_any_more(house: House) -> None:
    """The client left while documents were being replaced."""
    archive, before = house.backup(), house.kept
    house.vector.items, house.session.items = {"other": "text"}, {}
    began, go_on = threading.Event(), threading.Event()
    real = house.session.take

    def late(requests: Any, rpc: Any) -> int:
        began.set()
        assert go_on.wait(20)
        return real(requests, rpc)

    house.session.take = late  # type: ignore[method-assign]
    answer = house.http.post(
        f"{API}/restore",
        data=archive,
        content_type=TAR,
        headers={"Accept": "text/event-stream"},
        buffered=False,
    )
    pieces = iter(answer.response)
    next(pieces)
    assert began.wait(20)
    answer.close()
    go_on.set()
    for _ in range(400):
        if not house.left:
            break
        threading.Event().wait(0.05)
    assert house.left == []
    assert house.kept == before


def test_what_may_pass_is_tried_again(house: House) -> None:
    archive, before = house.backup(), house.kept
    house.session.items = {}
    house.session.refusals = [AbortedError("busy", reason="IMPORT_RUNNING")]
    assert house.send("/restore", archive).status_code == 200
    assert house.kept == before
