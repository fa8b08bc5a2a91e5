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


def test_a_note_and_a_shape_follow_the_sentence_they_stand_in() -> None:
    data = (
        rb"{\rtf1\ansi\pard The depth is 14 m{\super\chftn{\footnote\pard\plain {\super\chftn} Measured in "
        rb"2020.\par Twice.}} at{\shp{\*\shpinst{\sp{\sn x}}{\shptxt\pard\plain Boxed\par}}} low tide.\par "
        rb"Next\par}"
    )
    assert read("rtf", data).text == (
        "The depth is 14 m at low tide.\n\nMeasured in 2020.\n\nTwice.\n\nBoxed\n\nNext"
    )


def test_a_note_in_a_table_does_not_cut_its_row() -> None:
    data = (
        rb"{\rtf1\trowd\intbl Depth{\footnote\pard In metres.}\cell 14\cell\row\trowd\intbl Width\cell 3\cell"
        rb"\row\pard End\par}"
    )
    extraction = read("rtf", data)
    assert extraction.text == "Depth | 14\nWidth | 3\n\nEnd\n\nIn metres."


def test_the_mark_of_a_note_is_no_power() -> None:
    assert read("rtf", rb"{\rtf1 14 m{\super 1}{\footnote {\super 1} Measured.} deep\par}").text == (
        "14 m[1] deep\n\n¹ Measured."
    )
    assert read("rtf", rb"{\rtf1 10{\super 6}{\super\chftn}{\footnote Measured.} t\par}").text == (
        "10⁶ t\n\nMeasured."
    )
    assert (
        read("rtf", rb"{\rtf1 10{\super 6}{\shp{\*\shpinst{\shptxt Boxed}}} t\par}").text == "10⁶ t\n\nBoxed"
    )


def test_a_note_that_is_cut_off_is_read() -> None:
    extraction = read("rtf", rb"{\rtf1 Depth{\footnote In metres")
    assert extraction.text == "Depth\n\nIn metres"
    assert extraction.warnings


def test_items_have_the_numbers_that_they_show() -> None:
    data = (
        rb"{\rtf1{\fonttbl{\f1\fcharset2 Symbol;}}{\listtext\pard\plain 2.1\tab}\pard\ls1\ilvl1 "
        rb"Payment\par{\pntext\f0 3.\tab}third\par{\pntext\f1\'b7\tab}dot\par{\listtext o\tab}ring\par"
        rb"\pard\outlinelevel0{\listtext 4.\tab}Law\par\trowd\pard\intbl{\listtext 5.\tab}five\par six\cell"
        rb"\row}"
    )
    extraction = read("rtf", data)
    assert extraction.text == "  2.1 Payment\n  3. third\n  - dot\n  - ring\n\n4. Law\n\n5. five six"
    assert blocks(extraction)[1] == ("heading", 1, "4. Law")


def test_raised_and_lowered_digits_keep_their_meaning() -> None:
    assert read("rtf", rb"{\rtf1 10{\super 6} t CO\sub 2\nosupersub  in {\super0 2}020\par}").text == (
        "10⁶ t CO₂ in 2020"
    )


def test_letters_of_a_symbol_font_are_what_it_draws() -> None:
    data = (
        rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}{\f1\fcharset2{\*\panose 0505}Symbol;}{\f2\fcharset2 Wingdings;}}"
        rb"Temp {\f1\'b3} 5 {\f1 m}m {\f2\'fe\'ff} {\f1\u-3999 ?}\plain m\par}"
    )
    assert read("rtf", data).text == "Temp ≥ 5 μm ☑\ufffd αm"
