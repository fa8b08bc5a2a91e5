import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.extraction.errors import InvalidFilenameError
from services.vector.extraction.filename import clean_filename


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\notes.txt", "notes.txt"),
        ("C:x", "x"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
        ("a\r\nSet-Cookie: b=c", "aSet-Cookie: b=c"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("  two   words .txt. ", "two words .txt"),
        ("日本語の文書.pdf", "日本語の文書.pdf"),
    ],
)
def test_cleans(name: str, clean: str) -> None:
    assert clean_filename(name) == clean


@pytest.mark.parametrize("name", ["", " ", "..", "/", "a/", "\u202e\u200b", "\x00\x07"])
def test_refuses_what_leaves_nothing(name: str) -> None:
    with pytest.raises(InvalidFilenameError) as caught:
        clean_filename(name)
    assert caught.value.metadata["field"] == "filename"


def test_a_long_name_keeps_its_extension() -> None:
    assert clean_filename("a" * 300 + ".pdf") == "a" * 251 + ".pdf"


@given(st.text())
def test_is_always_safe_and_stable(name: str) -> None:
    try:
        clean = clean_filename(name)
    except InvalidFilenameError:
        return
    assert 0 < len(clean) <= 255
    assert not set(clean) & set("/\\")
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in clean)
    assert clean_filename(clean) == clean
