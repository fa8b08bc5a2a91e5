"""A snapshot comes back as it was, or not at all."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.chassis.errors import FailedPreconditionError, InvalidArgumentError, ServiceError
from services.chassis.snapshot import PIECE_BYTES, Manifest, Part, Unpacking, describe, pack

KEY = b"a key of the owner's machine"
MADE = datetime(2026, 11, 25, 12, tzinfo=UTC)


def packed(folder: Path, contents: dict[str, bytes], key: bytes = KEY, **changes: object) -> bytes:
    folder.mkdir(exist_ok=True)
    files = [folder / f"source-{number}" for number in range(len(contents))]
    for file, content in zip(files, contents.values(), strict=True):
        file.write_bytes(content)
    parts = tuple(describe(file, name) for file, name in zip(files, contents, strict=True))
    fields = {
        "service": "vector",
        "schema_version": 3,
        "created_time": MADE,
        "counts": {"documents": 7},
        "parts": parts,
        **changes,
    }
    pieces = list(pack(Manifest(**fields), files, key))  # type: ignore[arg-type]
    assert max(map(len, pieces)) <= PIECE_BYTES
    return b"".join(pieces)


def unpacked(
    folder: Path, data: bytes, piece: int = 1000, key: bytes = KEY, limit: int = 1 << 30
) -> Manifest:
    folder.mkdir(parents=True)
    unpacking = Unpacking(folder, "vector", key, limit)
    try:
        for start in range(0, len(data), piece):
            unpacking.feed(data[start : start + piece])
        return unpacking.finish()
    finally:
        unpacking.close()


CONTENTS = {"record.sqlite": bytes(range(256)) * 2000, "empty": b"", "tail.json": b"{}"}


@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
def test_it_comes_back_as_it_was(tmp_path: Path, piece: int) -> None:
    contents = {name: content[:3000] for name, content in CONTENTS.items()} if piece < 10 else CONTENTS
    data = packed(tmp_path, contents)

    manifest = unpacked(tmp_path / "out", data, piece)

    assert (manifest.service, manifest.schema_version, manifest.created_time) == ("vector", 3, MADE)
    assert manifest.counts == {"documents": 7}
    assert {part.name: (tmp_path / "out" / part.name).read_bytes() for part in manifest.parts} == contents


def test_every_cut_and_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    data = packed(tmp_path, {"record.sqlite": b"some pages", "tail.json": b"{}"})
    rng = random.Random(4)

    for place in range(len(data)):
        with pytest.raises(ServiceError):
            unpacked(tmp_path / f"cut{place}", data[:place])
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        with pytest.raises(ServiceError):
            unpacked(tmp_path / f"flip{place}", bytes(changed))


def test_without_a_folder_it_verifies_and_writes_nothing(tmp_path: Path) -> None:
    data = packed(tmp_path, CONTENTS)
    there = sorted(tmp_path.iterdir())

    assert verified(data).counts == {"documents": 7}
    for damaged in (data[:-1], data[:-1] + b"!", data + b"!"):
        with pytest.raises(InvalidArgumentError):
            verified(damaged)
    assert sorted(tmp_path.iterdir()) == there


def verified(data: bytes) -> Manifest:
    unpacking = Unpacking(None, "vector", KEY, 1 << 30)
    try:
        unpacking.feed(data)
        return unpacking.finish()
    finally:
        unpacking.close()


def test_a_header_with_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError):
        unpacked(tmp_path / "out", packed(tmp_path, {}, schema_version=float("inf")))


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError):
        unpacked(tmp_path / "out", packed(tmp_path, CONTENTS) + b"!")


def test_another_key_and_another_service_are_told_apart_from_damage(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="MELD_SNAPSHOT_KEY"):
        unpacked(tmp_path / "key", packed(tmp_path, CONTENTS), key=b"")
    with pytest.raises(FailedPreconditionError, match="session service"):
        unpacked(tmp_path / "service", packed(tmp_path, CONTENTS, service="session"))


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/b", ".hidden", "", "a" * 60, "C:x", "a\n", "no.such.thing"]
)
def test_a_part_is_a_plain_name(tmp_path: Path, name: str) -> None:
    sound = describe(_file(tmp_path), "sound")
    data = packed(tmp_path, {}, parts=(Part(name, sound.size, sound.sha256),))

    with pytest.raises(InvalidArgumentError):
        unpacked(tmp_path / "out", data)


def test_names_are_unique_and_the_total_is_bounded(tmp_path: Path) -> None:
    part = describe(_file(tmp_path), "same")

    with pytest.raises(InvalidArgumentError):
        unpacked(tmp_path / "twice", packed(tmp_path, {}, parts=(part, part)))
    with pytest.raises(InvalidArgumentError, match="larger than 10 bytes"):
        unpacked(tmp_path / "large", packed(tmp_path, CONTENTS), limit=10)


def _file(folder: Path) -> Path:
    path = folder / "file"
    path.write_bytes(b"content")
    return path
