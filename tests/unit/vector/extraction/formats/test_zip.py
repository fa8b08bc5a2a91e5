import pytest

from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
)
from services.vector.extraction.model import Limits
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import blocks, package, read


def test_each_file_is_a_part_under_its_name_with_its_places() -> None:
    extraction = read(
        "zip",
        package(
            {
                "docs/": b"",
                "docs/readme.md": b"# Read me\n\nWords.",
                "report.pdf": samples.pdf([["One"], ["Two"]]),
                "prices.xlsx": samples.book({"Prices": [["Fruit", "Price"], ["Quince", 42]]}),
                "__MACOSX/x.txt": b"left behind",
                ".hidden": b"hidden",
            }
        ),
    )
    assert "left behind" not in extraction.text
    assert "hidden" not in extraction.text
    assert [(place.label, place.page, place.line) for place in extraction.places] == [
        ("docs/readme.md", 0, 0),
        ("docs/readme.md", 0, 1),
        ("report.pdf", 0, 0),
        ("report.pdf, page 1", 1, 0),
        ("report.pdf, page 2", 2, 0),
        ("prices.xlsx", 0, 0),
        ("prices.xlsx, Prices", 0, 0),
        ("prices.xlsx, Prices!A1", 0, 0),
        ("prices.xlsx, Prices!B1", 0, 0),
        ("prices.xlsx, Prices!A2", 0, 0),
        ("prices.xlsx, Prices!B2", 0, 0),
    ]
    assert blocks(extraction)[:2] == [("heading", 1, "docs/readme.md"), ("heading", 2, "# Read me")]
    assert extraction.title is None


def test_what_cannot_be_read_is_named_and_leaves_nothing() -> None:
    good = samples.package({"word/document.xml": b"<broken"})
    extraction = read("zip", package({"a.txt": b"words", "b.docx": good, "c.bin": b"\0\1\2", "d.txt": b""}))
    assert extraction.text == "a.txt\n\nwords"
    assert [warning.split()[0].strip(":") for warning in extraction.warnings] == ["b.docx", "c.bin", "d.txt"]


@pytest.mark.parametrize("data", [package({}), package({"folder/": b""}), package({"a.bin": b"\0\1"})])
def test_an_archive_without_text_is_empty(data: bytes) -> None:
    with pytest.raises(DocumentEmptyError):
        read("zip", data)


def test_an_archive_in_an_archive_is_named_and_the_rest_is_there() -> None:
    nested = package({"c.txt": b"c"})
    extraction = read("zip", package({"a.txt": b"alpha", "b.zip": nested}))
    assert extraction.text == "a.txt\n\nalpha"
    assert extraction.warnings == ("b.zip was not read: an archive inside another document is not opened",)
    with pytest.raises(DocumentUnreadableError, match="inside"):
        read("zip", package({"b.zip": nested}))


def test_a_mail_in_an_archive_is_read_and_what_hangs_on_it_is_named() -> None:
    inner = samples.mail("The lamp stands in room 55.", [("plan.txt", "text/plain", b"secret plan")])
    extraction = read("zip", package({"a.txt": b"alpha", "b.eml": inner}))
    assert "alpha" in extraction.text
    assert "The lamp stands in room 55." in extraction.text
    assert "secret plan" not in extraction.text
    assert extraction.warnings == (
        "b.eml: plan.txt was not read: it is attached to a mail inside another document",
    )
    assert extraction.places[-1].label == "b.eml, mail"
    assert ("heading", 2, "The meeting") in blocks(extraction)


def test_a_bomb_in_a_part_ends_the_whole() -> None:
    bomb = package({"word/document.xml": bytes(20 * 1024 * 1024)})
    with pytest.raises(DocumentTooLargeError):
        read("zip", package({"a.txt": b"a", "b.docx": bomb}))


def test_all_packages_in_it_share_one_budget() -> None:
    """Each is small enough; together they are not."""
    part = package({"word/document.xml": b"<a/>", "x": bytes(900_000)})
    data = package({f"{n}.docx": part for n in range(5)})
    with pytest.raises(DocumentTooLargeError):
        read("zip", data, Limits(archive_bytes=2_000_000))


def test_a_warning_says_why_a_part_was_not_read() -> None:
    parts = {
        "a.txt": b"words",
        "b.docx": samples.pdf([["x"]]),
        "c.docx": package({"word/document.xml": b"<broken"}),
        "scan.pdf": samples.scanned_pdf([bytes(120 * 120)], 120, 120),
        "e.bin": b"\0\1\2",
    }
    assert read("zip", package(parts)).warnings == (
        "b.docx was not read: the name says docx, the bytes are application/pdf",
        "c.docx was not read: broken XML: unclosed token: line 1, column 0",
        "scan.pdf: the PDF has pictures of pages but no text; it needs text recognition",
        "e.bin was not read: application/octet-stream is not read here",
    )


def test_the_last_of_many_warnings_says_that_there_are_more() -> None:
    warnings = read("zip", package({"a.txt": b"a", **{f"{n}.bin": b"\0" for n in range(60)}})).warnings
    assert len(warnings) == 50
    assert warnings[-1] == "and more"


def test_names_of_all_systems_are_read_and_shown() -> None:
    parts = {"Bxxcher.txt": b"alpha", "docs\\b.txt": b"beta", "README.md": b"gamma", "readme.md": b"delta"}
    extraction = read("zip", package(parts).replace(b"Bxxcher", "Bücher".encode()))
    assert [label for _, level, label in blocks(extraction) if level] == [
        "Bücher.txt", "docs/b.txt", "README.md", "readme.md",
    ]  # fmt: skip
    assert all(word in extraction.text for word in ("alpha", "beta", "gamma", "delta"))
    assert extraction.places[0].label == "Bücher.txt"
