"""The program that checks, against a service that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from meldrag.vector.v1 import vector_pb2
from services.chassis.settings import load
from services.fsck import __main__, work
from services.fsck.settings import FsckSettings
from services.fsck.terminal import Asked, parsed
from tests.support.redis_server import free_port

TEXT = vector_pb2.IndexFault(
    tenant_id="home",
    collection_id="books",
    document_id="d",
    message="its text is damaged",
    kind=vector_pb2.INDEX_FAULT_KIND_TEXT_DAMAGED,
    remedy=vector_pb2.INDEX_REMEDY_QUARANTINE,
)
PENDING = vector_pb2.IndexFault(
    message="not yet", kind=vector_pb2.INDEX_FAULT_KIND_DELETION_PENDING, remedy=vector_pb2.INDEX_REMEDY_WAIT
)


class House:
    """checks: the faults of each check in turn; the last one holds."""

    def __init__(self, *checks: Sequence[vector_pb2.IndexFault]) -> None:
        self.checks = list(checks)
        self.done: list[str] = []

    def check(self, collection_id: str) -> Iterator[vector_pb2.CheckIndexResponse]:
        self.done.append(f"check {collection_id}".strip())
        faults = self.checks.pop(0) if len(self.checks) > 1 else self.checks[0]
        yield vector_pb2.CheckIndexResponse(
            checked_chunks=5, total_chunks=9, next_page_token="t", step="texts"
        )
        yield vector_pb2.CheckIndexResponse(checked_chunks=4, faults=faults, unpurged_chunks=3)

    def repair(self, collection_id: str) -> Iterator[vector_pb2.RepairIndexResponse]:
        self.done.append("repair")
        mended = vector_pb2.IndexFault()
        mended.CopyFrom(TEXT)
        mended.mended = True
        yield vector_pb2.RepairIndexResponse(faults=[mended])

    def purge(self) -> vector_pb2.PurgeDeletedResponse:
        self.done.append("purge")
        return vector_pb2.PurgeDeletedResponse(purged_chunks=3, record_bytes_before=9, record_bytes_after=4)


def ran(house: House, asked: Asked) -> tuple[bool, list[str]]:
    said: list[str] = []
    return work.run(house, asked, said.append, sleep=lambda _: None), said


def test_a_sound_house_is_told_so() -> None:
    good, said = ran(House([]), Asked())
    assert good
    assert said == [
        "... 5 of 9 passages, texts",
        "check: nothing is wrong",
        "3 deleted passages may have bytes in free space of the files until a purge",
    ]


def test_what_is_found_is_named_and_fails() -> None:
    good, said = ran(House([TEXT]), Asked(collection="books"))
    assert not good
    assert "TEXT_DAMAGED home/books/d: its text is damaged (remedy: quarantine)" in said


def test_a_repair_and_a_purge_are_followed_by_a_check() -> None:
    house = House([])
    good, said = ran(house, Asked(repair=True, purge=True))
    assert good
    assert house.done == ["repair", "purge", "check"]
    assert "repair: 1 faults, 1 of them mended" in said
    assert any("send their originals again" in line for line in said)
    # Not one word that the files of a Chroma server were purged.
    assert "what the Chroma server keeps in its files is not known here" in said


def test_what_ends_by_itself_is_waited_for() -> None:
    house = House([PENDING], [PENDING], [])
    assert ran(house, Asked())[0]
    assert house.done == ["check"] * 3
    mixed = House([PENDING, TEXT], [])
    assert not ran(mixed, Asked())[0]


def test_very_many_faults_are_counted() -> None:
    good, said = ran(House([TEXT] * 250), Asked())
    assert not good
    assert sum(line.startswith("TEXT_DAMAGED") for line in said) == 100
    assert "... and 150 more" in said
    assert "check: 250 faults" in said


def test_the_words_of_the_command_line() -> None:
    assert parsed(["--repair", "--purge", "--collection", "c"]) == Asked(True, True, "c")
    with pytest.raises(SystemExit) as error:
        parsed(["--mend"])
    assert error.value.code == 2


def test_a_house_that_does_not_run_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("MELD_VECTOR_ADDRESS", address)
    assert __main__.main([]) == 1
    assert address in capsys.readouterr().err


def test_a_wrong_setting_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(FsckSettings).meld_vector_address
    monkeypatch.setenv("HEALTH_CHECK_INTERVAL", "often")
    assert __main__.main([]) == 2
    assert "HEALTH_CHECK_INTERVAL" in capsys.readouterr().err
