import pytest

from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
)
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import blocks, mail, read


def test_who_what_and_the_attachments_each_at_its_place() -> None:
    data = mail(
        "We meet at noon.",
        [
            ("prices.csv", "text/csv", b"Fruit,Price\nQuince,42\n"),
            ("report.pdf", "application/pdf", samples.pdf([["Intro"], ["The lamp burns whale oil."]])),
        ],
        subject="Größe zählt",
    )
    extraction = read("eml", data)
    assert extraction.title == "Größe zählt"
    assert "From: Ada <ada@example.org>\nTo: bob@example.org\nDate: Tue, 01 Oct 2024" in extraction.text
    assert "We meet at noon." in extraction.text
    assert "Fruit: Quince; Price: 42" in extraction.text
    assert [(place.label, place.page, place.line) for place in extraction.places] == [
        ("mail", 0, 0),
        ("prices.csv", 0, 0),
        ("prices.csv", 0, 1),
        ("report.pdf", 0, 0),
        ("report.pdf, page 1", 1, 0),
        ("report.pdf, page 2", 2, 0),
    ]
    assert extraction.pages == ()
    assert ("heading", 1, "prices.csv") in blocks(extraction)


def test_plain_text_goes_before_html_which_is_read_alone() -> None:
    assert "plain words" in (text := read("eml", mail("plain words", html="<p>html words</p>")).text)
    assert "html words" not in text
    only = b"From: a\nContent-Type: text/html; charset=iso-8859-1\n\n<p>Gr\xf6\xdfe</p><script>x</script>"
    assert "Größe" in (text := read("eml", only).text)
    assert "script" not in text


HEAD = b"From: a\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n"


def test_what_hangs_on_an_alternative_that_is_not_read_is_read() -> None:
    data = (
        HEAD + b"--b\nContent-Type: text/plain\n\nThe offer is attached.\n"
        b"--b\nContent-Type: multipart/mixed; boundary=c\n\n"
        b"--c\nContent-Type: text/html\n\n<p>The offer is <b>attached</b>.\n"
        b"--c\nContent-Type: text/plain\nContent-Disposition: attachment; filename=offer.txt\n\n"
        b"4200 EUR\n--c--\n--b--\n"
    )
    extraction = read("eml", data)
    assert extraction.text.endswith("The offer is attached.\n\noffer.txt\n\n4200 EUR")
    assert extraction.text.count("attached") == 1
    assert extraction.warnings == ()


@pytest.mark.parametrize("plain", [b"", b"--b\nContent-Type: text/plain\n\n \n"], ids=["none", "blank"])
def test_an_invitation_is_read_with_its_calendar(plain: bytes) -> None:
    data = (
        HEAD + plain + b"--b\nContent-Type: text/html\n\n<p>Kickoff in room 5\n"
        b"--b\nContent-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nDTSTART:20240301T090000Z\n"
        b"END:VCALENDAR\n--b--\n"
    )
    extraction = read("eml", data)
    assert "Kickoff in room 5\n\ncalendar\n\nBEGIN:VCALENDAR\nDTSTART:20240301" in extraction.text
    assert extraction.places[-1].label == "calendar"


@pytest.mark.parametrize("kind", [b"application/octet-stream", b"message/rfc822"])
def test_an_attached_mail_is_read_whatever_it_is_declared_as(kind: bytes) -> None:
    outer = (
        b"From: a\nSubject: Outer\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: text/plain\n\nSee below.\n--b\nContent-Type: " + kind + b"\n"
        b"Content-Disposition: attachment; filename=inner.eml\n\n"
        + mail("The inner secret.", subject="Inner")
        + b"\n--b--\n"
    )
    extraction = read("eml", outer)
    assert "The inner secret." in extraction.text
    assert (extraction.title, extraction.warnings) == ("Outer", ())


def test_a_text_is_attached_in_the_charset_that_is_named() -> None:
    data = (
        b"From: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
        b"Content-Disposition: attachment; filename=fees.txt\n\n\xa350, A\xf1o 1990\n"
    )
    assert "£50, Año 1990" in read("eml", data).text


def test_a_mark_of_utf_8_before_a_mail_is_passed_over() -> None:
    extraction = read("eml", b"\xef\xbb\xbfFrom: a@example.org\nSubject: Lamps\n\nThe body.\n")
    assert (extraction.title, "From: a@example.org" in extraction.text) == ("Lamps", True)


def test_a_mail_in_a_mail_is_read() -> None:
    inner = mail("The inner secret.", subject="Inner")
    outer = (
        b"From: a\nSubject: Outer\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: text/plain\n\nSee below.\n--b\nContent-Type: message/rfc822\n\n"
        + inner
        + b"\n--b--\n"
    )
    extraction = read("eml", outer)
    assert "The inner secret." in extraction.text
    assert extraction.title == "Outer"
    assert extraction.places[-1].label == "attached mail Inner"


def test_what_cannot_be_read_is_named_and_the_rest_is_there() -> None:
    data = mail(
        "Text.",
        [
            ("evil.pdf", "application/pdf", b"MZ\x90\x00" + bytes(100)),
            ("all.zip", "application/zip", samples.package({"a.txt": b"a"})),
            ("photo.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(20)),
            ("locked.pdf", "application/pdf", samples.encrypted_pdf("secret")),
        ],
    )
    extraction = read("eml", data)
    assert "Text." in extraction.text
    assert [warning.split()[0] for warning in extraction.warnings] == [
        "evil.pdf", "all.zip", "photo.png", "locked.pdf",
    ]  # fmt: skip
    assert [place.label for place in extraction.places] == ["mail"]


@pytest.mark.parametrize("data", [b"just words", b"\x01\x02: no", b"key value\n\nmore"])
def test_what_is_no_mail_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        read("eml", data)


def test_only_blanks_are_an_empty_mail() -> None:
    with pytest.raises(DocumentEmptyError):
        read("eml", b"\n   \n")


def test_a_mail_of_a_thousand_mails_is_too_large() -> None:
    with pytest.raises(DocumentTooLargeError):
        read("eml", b"From: a\n" + b"Content-Type: message/rfc822\n\n" * 3_000)


def test_a_bomb_that_is_attached_ends_the_mail() -> None:
    bomb = samples.package({"word/document.xml": bytes(20 * 1024 * 1024)})
    with pytest.raises(DocumentTooLargeError):
        read("eml", mail("Text.", [("a.docx", samples.DOCX, bomb)]))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_header_that_is_not_encoded_is_read_all_the_same(encoding: str) -> None:
    subject = "Größe zählt, schöne Grüße"
    extraction = read(
        "eml", f"From: Jürgen Müller <j@example.org>\nSubject: {subject}\n\nText".encode(encoding)
    )
    assert extraction.title == subject
    assert "From: Jürgen Müller <j@example.org>" in extraction.text


def test_what_became_of_a_delivery_is_read() -> None:
    data = (
        b"From: daemon\nContent-Type: multipart/report; boundary=b\n\n--b\n\nIt came back.\n--b\n"
        b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        b"Final-Recipient: rfc822; bob@example.org\nStatus: 5.1.1\n\n--b--\n"
    )
    extraction = read("eml", data)
    assert "It came back." in extraction.text
    assert "Final-Recipient: rfc822; bob@example.org\nStatus: 5.1.1" in extraction.text
    assert extraction.warnings == ()
