import codecs

import pytest

from services.vector.extraction.decoding import decode, is_blank, normalise
from services.vector.extraction.errors import DocumentUnreadableError

GERMAN = "Die Größe der Bäume überrascht die Gäste aus München, die schöne Straßen mögen. " * 4
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 6
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 6


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_decides(mark: bytes, encoding: str) -> None:
    assert decode(mark + GERMAN.encode(encoding), "koi8-r") == GERMAN


def test_utf_8_needs_no_mark() -> None:
    assert decode(JAPANESE.encode()) == JAPANESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(GERMAN, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp")],
)
def test_other_encodings_are_recognised(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_a_declared_charset_is_used() -> None:
    assert decode("cena: 5 zł, żółw".encode("iso-8859-2"), "ISO-8859-2") == "cena: 5 zł, żółw"
    # What calls itself Latin-1 is read as the web reads it.
    assert decode(b"\x93quoted\x94", "iso-8859-1") == "“quoted”"


@pytest.mark.parametrize("label", ["utf-16", "rot13", "unicode_escape", "zip", "no such", "idna"])
def test_a_declared_charset_that_cannot_be_is_passed_over(label: str) -> None:
    assert decode(GERMAN.encode("cp1252"), label) == GERMAN


def test_one_broken_byte_does_not_make_utf_8_something_else() -> None:
    data = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert decode(data) == GERMAN + "\ufffd" + GERMAN


@pytest.mark.parametrize("data", [bytes(range(1, 9)) * 100, codecs.BOM_UTF16_LE + b"\x00\xd8a\x00"])
def test_refuses_what_is_no_text(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        decode(data)


def test_normalise() -> None:
    assert normalise("\ufeffa\r\nb\rc\u2028d\x00e\x07f\x0cg\x85h\ti") == "a\nb\nc\ndef\ng\nh\ti"
    with pytest.raises(DocumentUnreadableError, match="surrogate"):
        normalise("a\ud800b")


def test_blank_is_what_shows_nothing() -> None:
    assert is_blank(" \n\t\u00a0\u3000\u200b\ufeff\u2060\u00ad")
    assert not is_blank(" \u200b. ")


@pytest.mark.parametrize(("text", "encoding"), [(JAPANESE, "iso-2022-jp"), ("中文 text", "hz")])
def test_what_hides_in_ascii_is_read_by_its_label(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), encoding) == text
    assert decode(GERMAN.encode(), encoding) == GERMAN
