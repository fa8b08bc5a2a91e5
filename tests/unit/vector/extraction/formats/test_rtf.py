import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from tests.unit.vector.extraction.samples import blocks, read


def test_paragraphs_headings_and_rows() -> None:
    data = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Times;}}"
        rb"{\info{\title The plan}{\author x}}"
        rb"{\*\generator Word;}\pard\outlinelevel0 Heading\par"
        rb"\pard Gr\'f6\u223 ?e {\b bold} {\v hidden}\emdash end\par"
        rb"{\f1 \'cf\'f0}\par\trowd\intbl Day\cell Price\cell\row\intbl Mon\cell 42\cell\row\pard after"
        rb"{\pict\bin6 }}}}}}}"
        rb"\par}"
    )
    extraction = read("rtf", data)
    assert extraction.text == "Heading\n\nGröße bold —end\n\nПр\n\nDay | Price\nMon | 42\n\nafter"
    assert extraction.title == "The plan"
    assert blocks(extraction) == [("heading", 1, "Heading"), ("table", 0, "Day | Price\nMon | 42")]


def test_characters_beyond_the_basic_plane_and_their_substitutes() -> None:
    assert read("rtf", rb"{\rtf1 {\uc2\u-10179 ??\u-8704 ??x}}").text == "\U0001f600x"


def test_a_file_that_is_cut_off_says_so() -> None:
    assert read("rtf", rb"{\rtf1 Text that is {\b cut").warnings


def test_hostile_nesting_is_refused() -> None:
    with pytest.raises(DocumentUnreadableError, match="nested"):
        read("rtf", rb"{\rtf1" + b"{" * 100_000)
    with pytest.raises(DocumentUnreadableError):
        read("rtf", b"hello")
