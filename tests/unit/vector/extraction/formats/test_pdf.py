import io
import zlib

import pytest
from pypdf import PdfReader, PdfWriter

from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
)
from services.vector.extraction.model import Limits
from tests.unit.vector.extraction import samples


def test_pages_keep_their_spans() -> None:
    extraction = samples.read("pdf", samples.pdf([["First page.", "Größe"], [], ["Third page."]]))
    assert extraction.text == "First page.\nGröße\n\nThird page."
    assert samples.page_texts(extraction) == ["First page.\nGröße", "", "Third page."]


def test_bookmarks_mark_headings_and_the_title_is_read() -> None:
    writer = PdfWriter(
        clone_from=PdfReader(io.BytesIO(samples.pdf([["1. Trees", "Text."], ["1.1 Oaks", "More."]])))
    )
    writer.add_metadata({"/Title": "A book of trees"})
    parent = writer.add_outline_item(title="Trees", page_number=0)
    writer.add_outline_item(title="Oaks", page_number=1, parent=parent)
    writer.add_outline_item(title="Not on the page", page_number=1)
    out = io.BytesIO()
    writer.write(out)
    extraction = samples.read("pdf", out.getvalue())
    assert extraction.title == "A book of trees"
    assert samples.blocks(extraction) == [("heading", 1, "1. Trees"), ("heading", 2, "1.1 Oaks")]


def test_words_are_joined_only_where_the_document_shows_it() -> None:
    lines = [
        "A detection was made. The detec-",
        "tion is a well-",
        "known one, and re-",
        "cover is not re-cover.",
    ]
    assert samples.read("pdf", samples.pdf([lines])).text == (
        "A detection was made. The detection is a well-\nknown one, and re-\ncover is not re-cover."
    )


def _cells(*rows: tuple[str, ...], right: int = 80, up: int = 0) -> bytes:
    """A page on which each cell is set by itself and ends its line, as ReportLab writes tables."""
    shown = [
        b"BT 1 0 0 1 %d %d Tm (%s) Tj T* ET"
        % (6 + right * column, 400 - 18 * line + up * column, cell.encode())
        for line, cells in enumerate(rows)
        for column, cell in enumerate(cells)
    ]
    content = b"q 1 0 0 1 70 200 cm BT /F1 10 Tf 12 TL ET\n%s\nQ" % b"\n".join(shown)
    return samples.pdf_of(samples.pdf_page(samples.stream(content)))


def test_cells_that_stand_side_by_side_are_a_row() -> None:
    page = _cells(("Second page.",), ("Keeper", "Lamp oil litres"), ("Ingmar", "6543"), ("Sunniva", "7001"))
    assert samples.read("pdf", page).text.split("\n") == [
        "Second page.",
        "Keeper | Lamp oil litres",
        "Ingmar | 6543",
        "Sunniva | 7001",
    ]


def _placed(*rows: tuple[tuple[int, str], ...], pitch: int = 18) -> list[str]:
    """The lines of a page of rows of (left edge, cell); those of a cell of several are 12 points apart."""
    shown = [
        b"BT 1 0 0 1 %d %d Tm (%s) Tj T* ET" % (left, 700 - pitch * row - 12 * line, text.encode())
        for row, cells in enumerate(rows)
        for left, cell in cells
        for line, text in enumerate(cell.split("\n"))
    ]
    content = b"BT /F1 10 Tf 12 TL ET\n%s" % b"\n".join(shown)
    return samples.read("pdf", samples.pdf_of(samples.pdf_page(samples.stream(content)))).text.split("\n")


def test_a_cell_stays_in_its_column_where_others_are_empty() -> None:
    # The numbers end at the same place, as do those of the head.
    assert _placed(
        ((200, "Count"), (300, "Price")),
        ((70, "Item"), (200, "Count"), (300, "Price")),
        ((70, "Bolt"), (306, "0.10")),
        ((70, "Nut of some length that is"), (218, "5")),
        ((207, "700"), (295, "11,200")),
        ((70, "Washer"), (213, "12"), (306, "3.00")),
    ) == [
        "| Count | Price",
        "Item | Count | Price",
        "Bolt |  | 0.10",
        "Nut of some length that is | 5",
        "| 700 | 11,200",
        "Washer | 12 | 3.00",
    ]


def test_cells_that_stand_in_no_column_stay_side_by_side() -> None:
    names = ((70, "Region"), (150, "Spring"), (250, "Summer"), (350, "Autumn"))
    numbers = ((70, "North"), (150, "1"), (250, "2"), (350, "3"))
    # A head of two columns; two in one; rows of another table above; columns that are none.
    assert _placed(((70, "Area"), (205, "2024")), names, numbers)[0] == "Area | 2024"
    assert _placed(names, numbers, ((70, "Mid"), (71, "4"), (350, "5")))[2] == "Mid | 4 | 5"
    above = ((70, "Ann"), (250, "Bonn")), ((70, "Bo"), (250, "Ulm"))
    assert _placed(*above, names, numbers)[:2] == ["Ann | Bonn", "Bo | Ulm"]
    crossed = ((70, "a"), (80, "b"), (90, "c"), (400, "d"))
    assert _placed(names, crossed, ((70, "Mid"), (350, "5")))[2] == "Mid | 5"


def test_a_cell_goes_on_in_the_lines_closely_below() -> None:
    head = ((70, "Item"), (150, "Use"), (250, "Price"))
    lamp = ((70, "Lamp"), (150, "Shows the way\nto the harbour\nof Elmsund"), (250, "640"))
    oil = ((70, "Oil"), (150, "Burns\nall night"))
    assert _placed(head, lamp, oil, head, pitch=48) == [
        "Item | Use | Price",
        "Lamp | Shows the way to the harbour of Elmsund | 640",
        "Oil | Burns all night",
        "Item | Use | Price",
    ]
    # Rows as close as the lines of a cell may be rows of their own.
    close = ((70, "Keeper"), (150, "Town")), ((70, "Ann"), (150, "Bonn")), ((150, "Ulm"),)
    assert _placed(*close, pitch=12) == ["Keeper | Town", "Ann | Bonn", "Ulm"]


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (((70, "Oil"), (150, "12\n14")), ["Oil | 12", "14"]),
        (((70, "Oil"), (150, "Burns all-\nnight")), ["Oil | Burns all-", "night"]),
        (((70, "Oil\nand wick"), (150, "Burns")), ["Oil", "and wick", "Burns"]),
    ],
    ids=["numbers", "a broken word", "the first cell"],
)
def test_a_cell_does_not_go_on_where_that_is_less_sure(
    row: tuple[tuple[int, str], ...], lines: list[str]
) -> None:
    head = ((70, "Item"), (150, "Use"))
    assert _placed(head, head, row, pitch=48) == ["Item | Use", "Item | Use", *lines]


def test_pieces_that_make_no_table_keep_their_lines() -> None:
    alone = _cells(("Before.",), ("One", "Two"), ("Behind.",))
    assert samples.read("pdf", alone).text.split("\n") == ["Before.", "One", "Two", "Behind."]
    steps = _cells(("One", "Two"), ("Three", "Four"), up=5)
    assert samples.read("pdf", steps).text.split("\n") == ["One", "Two", "Three", "Four"]
    backwards = _cells(("One", "Two"), ("Three", "Four"), right=-80)
    assert samples.read("pdf", backwards).text.split() == ["One", "Two", "Three", "Four"]


def test_a_locked_file_is_refused_and_an_unlocked_one_read() -> None:
    with pytest.raises(DocumentUnreadableError, match="password is needed"):
        samples.read("pdf", samples.encrypted_pdf("secret"))
    assert samples.read("pdf", samples.encrypted_pdf("")).text == "Only for readers with the password."


def test_pictures_of_pages_are_an_empty_document() -> None:
    with pytest.raises(DocumentEmptyError, match="no text"):
        samples.read("pdf", samples.pdf([[], []]))


def test_the_number_of_pages_is_limited() -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        samples.read("pdf", samples.pdf([["a"]] * 4), Limits(pages=3))
    assert caught.value.metadata == {"limit": "3", "unit": "pages"}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(share: float) -> None:
    data = samples.pdf([["First page."], ["Second page."]])
    with pytest.raises(DocumentUnreadableError, match="truncated"):
        samples.read("pdf", data[: int(len(data) * share)])


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_a_stream_that_unfolds_too_far_is_refused(layers: int) -> None:
    with pytest.raises(DocumentTooLargeError):
        samples.read("pdf", samples.flate_bomb(layers, 80_000_000))


def test_forms_that_hold_themselves_end() -> None:
    form = samples.stream(
        b"BT /F1 12 Tf (again) Tj ET /X0 Do",
        b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X0 6 0 R >> >> ",
    )
    page = samples.pdf_page(
        samples.stream(b"BT /F1 12 Tf (Once) Tj ET /X0 Do"),
        resources=b"/XObject << /X0 6 0 R >>",
        more=[form],
    )
    assert samples.read("pdf", samples.pdf_of(page)).text.startswith("Once")


def test_a_cross_reference_that_points_to_itself_ends() -> None:
    page = samples.pdf_page(samples.stream(b"BT /F1 12 Tf (Text) Tj ET"))
    assert samples.read("pdf", samples.pdf_of(page, prev=lambda start: start)).text == "Text"


def test_a_page_tree_that_holds_itself_is_refused() -> None:
    page = samples.pdf_page(samples.stream(b""))
    page[1] = b"<< /Type /Pages /Kids [2 0 R] /Count 1000000 >>"
    with pytest.raises((DocumentUnreadableError, DocumentTooLargeError)):
        samples.read("pdf", samples.pdf_of(page))


def test_broken_content_is_not_passed_over() -> None:
    packed = zlib.compress(b"BT /F1 12 Tf (Text) Tj ET" * 100)
    page = samples.pdf_page(samples.stream(b"\0\0\0" + packed[40:], b"/Filter /FlateDecode "))
    with pytest.raises((DocumentUnreadableError, DocumentEmptyError)):
        samples.read("pdf", samples.pdf_of(page))


def test_a_page_of_curves_and_an_empty_page_are_told_apart() -> None:
    curves = samples.pdf_of(samples.pdf_page(samples.stream(b"0 0 m 10 10 l S\n" * 200)))
    empty = samples.pdf_of(samples.pdf_page(samples.stream(b"0 0 m 10 10 l S\n")))
    extraction = samples.read("pdf", samples.joined_pdf([samples.pdf([["Text."]]), curves, empty]))
    assert extraction.text == "Text."
    assert extraction.warnings == ("page 2 has drawings and no text",)
