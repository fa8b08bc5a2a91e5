import io
import warnings
import zipfile

import pytest

from services.vector.extraction.archive import labels, open_archive, read_member
from services.vector.extraction.errors import DocumentTooLargeError, DocumentUnreadableError
from services.vector.extraction.model import Limits
from tests.unit.vector.extraction import samples


def opened(data: bytes, limits: Limits | None = None) -> zipfile.ZipFile:
    return open_archive(io.BytesIO(data), limits or Limits())


def test_reads_an_ordinary_package() -> None:
    with opened(samples.simple_word()) as package:
        assert b"A paragraph of a Word document." in read_member(package, "word/document.xml", 10**6)


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        # 100 MiB in 102 KB.
        (samples.package({"word/document.xml": bytes(100 * 1024 * 1024)}), Limits()),
        (samples.package({f"{number}": b"" for number in range(2001)}), Limits()),
        (samples.package({f"{number}": b"12345" for number in range(10)}), Limits(archive_bytes=49)),
    ],
    ids=["ratio", "entries", "sum"],
)
def test_refuses_bombs(data: bytes, limits: Limits) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        opened(data, limits)
    assert caught.value.metadata["limit"]


def test_refuses_a_directory_that_is_larger_than_it_says() -> None:
    """The count in the end record is what a reader believes; the size of the directory gives it away."""
    data = bytearray(samples.package({f"{number:0>200}": b"" for number in range(15_000)}))
    end = data.rfind(b"PK\x05\x06")
    data[end + 8 : end + 12] = b"\x01\x00\x01\x00"
    with pytest.raises(DocumentTooLargeError):
        opened(bytes(data))


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/passwd", "C:\\evil", "a\\..\\..\\b", "\\a", "a\nb"]
)
def test_refuses_names_that_leave_the_package(name: str) -> None:
    with pytest.raises(DocumentUnreadableError, match="unsafe"):
        opened(samples.package({name: b"x"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.md", "a.md"), ("docs/a.md", "docs\\a.md"), ("word/document.xml", "word/Document.xml")],
)
def test_refuses_two_entries_of_one_name(one: str, other: str) -> None:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(one, b"one")
        archive.writestr(other, b"two")
    with pytest.raises(DocumentUnreadableError, match="two archive entries"):
        opened(out.getvalue())


def test_names_that_differ_in_case_and_backslashes_are_ordinary() -> None:
    with opened(
        samples.package({"README.md": b"one", "readme.md": b"two", "docs\\a.md": b"three"})
    ) as package:
        assert package.namelist() == ["README.md", "readme.md", "docs/a.md"]
        assert [read_member(package, name, 9) for name in package.namelist()] == [b"one", b"two", b"three"]


def test_names_in_utf_8_that_do_not_say_so_are_told_for_people() -> None:
    # Programs that say it write 0x800; here the bytes alone are UTF-8, or code page 437.
    data = samples.package({"Bxxcher/a.txt": b"x", "Sxd.txt": b"x"})
    data = data.replace(b"Bxxcher", "Bücher".encode()).replace(b"Sxd", b"S\x81d")
    with opened(data) as package:
        assert labels(package.infolist()) == ["Bücher/a.txt", "Süd.txt"]
    twice = samples.package({"xx.txt": b"x", "ü.txt": b"x"}).replace(b"xx.txt", "ü.txt".encode())
    with opened(twice) as package:
        assert labels(package.infolist()) == ["├╝.txt", "ü.txt"]


def test_refuses_an_encrypted_entry() -> None:
    data = bytearray(samples.package({"a": b"secret"}))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DocumentUnreadableError, match="encrypted"):
        opened(bytes(data))


def test_refuses_an_unusual_compression() -> None:
    with pytest.raises(DocumentUnreadableError, match="compression"):
        opened(samples.package({"a": b"x" * 100}, compression=zipfile.ZIP_LZMA))


def test_an_entry_that_holds_more_than_it_says_is_broken() -> None:
    data = bytearray(samples.package({"a": b"x" * 100_000}))
    central = data.rfind(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")
    with opened(bytes(data)) as package, pytest.raises(DocumentUnreadableError):
        read_member(package, "a", 10**6)


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04", samples.simple_word()[:5000], b"PK\x05\x06" + bytes(18)[:10]]
)
def test_refuses_a_broken_archive(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        opened(data)
