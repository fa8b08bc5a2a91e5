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


def test_the_text_of_a_shape_is_read_and_nothing_else_of_it() -> None:
    shape = rb"{\shp{\*\shpinst\shpleft9{\sp{\sn kind}{\sv 202}}{\shptxt \pard In a box.\par}}{\shprslt x}}"
    assert read("rtf", rb"{\rtf1 \pard Before.\par " + shape + rb"\pard After.\par}").text == (
        "Before.\n\nIn a box.\n\nAfter."
    )


def test_text_right_after_a_table_is_not_lost() -> None:
    assert read("rtf", rb"{\rtf1\trowd\intbl A\cell B\cell\row after}").text == "A | B\n\nafter"


@pytest.mark.parametrize("page", [0, 437, 708, 936, 1361, 65001, 99999])
def test_a_code_page_that_is_not_known_costs_no_document(page: int) -> None:
    assert read("rtf", rb"{\rtf1\ansi\ansicpg%d text}" % page).text == "text"
