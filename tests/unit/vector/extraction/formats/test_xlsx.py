import io
import zipfile
from collections.abc import Sequence

import pytest

from services.vector.extraction.errors import DocumentEmptyError
from services.vector.extraction.model import Extraction, Limits
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import blocks, book, read, sheet, with_part, workbook

PRICES = [["Fruit", "Price"], ["Apple", 1.5], ["Quince", 42]]


def place_of(extraction: Extraction, text: str) -> str:
    at = extraction.text.encode().index(text.encode())
    return [place.label for place in extraction.places if place.byte_start <= at][-1]


def test_a_row_says_its_columns_and_a_cell_its_place() -> None:
    extraction = read("xlsx", book({"Prices": PRICES, "More": [["only", "text"], ["here", "too"]]}))
    assert extraction.text == (
        "Prices\n\nFruit | Price\nFruit: Apple; Price: 1.5\nFruit: Quince; Price: 42\n\n"
        "More\n\nonly | text\nonly: here; text: too"
    )
    assert place_of(extraction, "Price: 42") == "Prices!B3"
    assert place_of(extraction, "Quince") == "Prices!A3"
    assert place_of(extraction, "text: too") == "More!B2"
    assert [kind for kind, _, _ in blocks(extraction)] == ["heading", "table", "heading", "table"]


def test_rows_and_columns_that_are_not_there_keep_the_place_of_the_others() -> None:
    rows = [[None, 7, None, 9], [], [], [None, "x | y"]]
    extraction = read("xlsx", workbook({"S": sheet(rows, first=3)}))
    assert extraction.text == "S\n\n| 7 |  | 9\n\n| x | y"
    assert place_of(extraction, "7") == "S!B3"
    assert place_of(extraction, "9") == "S!D3"
    assert place_of(extraction, "x | y") == "S!B6"


def test_dates_percentages_errors_and_formulas_are_as_they_show() -> None:
    styles = (
        '<numFmts><numFmt numFmtId="170" formatCode="dd&quot;th&quot;/mm"/></numFmts><cellXfs>'
        '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="9"/><xf numFmtId="170"/></cellXfs>'
    )
    cells = [
        '<c s="1"><v>45566</v></c>',
        '<c s="2"><v>0.25</v></c>',
        '<c s="3"><v>45566.5</v></c>',
        '<c t="b"><v>1</v></c>',
        '<c t="e"><v>#DIV/0!</v></c>',
        '<c t="s"><v>0</v></c>',
        "<c><f>SUM(A1:A2)</f><v>0.30000000000000004</v></c>",
        '<c><f>cmd|"/c calc"</f></c>',
        '<c t="s"><v>99</v></c>',
    ]
    data = workbook({"S": sheet([cells])}, styles=styles, shared=["=cmd()"])
    assert read("xlsx", data).text == (
        'S\n\n2024-10-01 | 25% | 2024-10-01 12:00:00 | TRUE | #DIV/0! | =cmd() | 0.3 | =cmd|"/c calc"'
    )


def test_a_hidden_sheet_is_named_and_not_read() -> None:
    data = workbook({"Open": sheet([["a"]]), "Closed": sheet([["secret"]])}, attributes='state="veryHidden"')
    extraction = read("xlsx", data)
    assert "secret" not in extraction.text
    assert extraction.warnings == ("sheet Closed is hidden and was not read",)


def test_an_empty_book_is_empty() -> None:
    with pytest.raises(DocumentEmptyError):
        read("xlsx", book({"S": []}))


def test_places_become_coarser_and_never_wrong() -> None:
    rows = [[f"a{n}", f"b{n}"] for n in range(40)]
    extraction = read("xlsx", book({"S": rows, "T": [["last"]]}), Limits(places=40))
    assert len(extraction.places) == 40
    assert place_of(extraction, "b0") == "S!B1"
    assert place_of(extraction, "b15") == "S!A16:B16"
    assert place_of(extraction, "last") == ""
    assert "b39" in extraction.text


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("yyyy-mm-dd", "1", "1900-01-01"),
        ("yyyy-mm-dd", "59", "1900-02-28"),
        ("yyyy-mm-dd", "61", "1900-03-01"),
        ("h:mm", "0.75", "18:00:00"),
        ("[h]:mm", "1.5", "36:00:00"),
        ("[mm]:ss", "-0.25", "-6:00:00"),
        (r"_-* #,##0.00\ _D_M_-", "1234.5", "1234.5"),
        ("[Red]0.0%", "0.5", "50%"),
        ("#,##0.00 &quot;€&quot;", "1234.5", "1234.5 €"),
        ("#\\ ##0.00\\ &quot;€&quot;", "1234.5", "1234.5 €"),
        ("$#,##0", "99", "$99"),
        ("$#,##0", "-99", "-$99"),
        ("$#,##0_);($#,##0)", "-99", "-$99"),
        ("[$CHF] #,##0", "99", "CHF 99"),
        ("[$CHF] #,##0", "-99", "CHF -99"),
        ("[$€-x-euro2]0", "7", "€7"),
        ("[$-409]0", "7", "7"),
        (
            "_-* #,##0.00 &quot;€&quot;_-;-* #,##0.00 &quot;€&quot;_-;_-* &quot;-&quot;?? &quot;€&quot;_-",
            "0",
            "0 €",
        ),
        ("#,##0;-#,##0;&quot;-&quot;", "0", "0"),
        ("0&quot; kg&quot;", "7", "7 kg"),
        ("0&quot; kg&quot;", "-7", "-7 kg"),
        ("0&quot; profit&quot;;0&quot; loss&quot;", "-7", "-7 loss"),
        ("0.0%&quot; of all&quot;", "0.25", "25% of all"),
        ("00000", "1067", "01067"),
        ("&quot;HV-&quot;0000", "17", "HV-0017"),
        ("00000", "10.5", "10.5"),
        ("&quot;Yes&quot;;;&quot;No&quot;", "1", "Yes"),
        ("&quot;Yes&quot;;;&quot;No&quot;", "0", "No"),
        ("&quot;Yes&quot;;;&quot;No&quot;", "-1", "-1"),
        (";;;", "5", "5"),
        ("0.0,,&quot;M&quot;", "12000000", "12000000"),
        ("000&quot;/&quot;000&quot;x&quot;", "123456", "123456"),
        ("[&gt;999]0&quot;k&quot;;0", "5000", "5000"),
        ("General&quot; km&quot;", "12.5", "12.5 km"),
        ("0.00E+00", "12.5", "12.5"),
    ],
)
def test_a_number_is_what_its_format_makes_of_it(code: str, value: str, shown: str) -> None:
    formats = f'<numFmts><numFmt numFmtId="170" formatCode="{code}"/></numFmts>'
    styles = f'{formats}<cellXfs><xf numFmtId="170"/></cellXfs>'
    data = workbook({"S": sheet([["x", f'<c s="0"><v>{value}</v></c>']])}, styles=styles)
    assert read("xlsx", data).text == f"S\n\nx | {shown}"


def test_a_book_that_counts_from_1904() -> None:
    styles = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    data = workbook({"S": sheet([["x", '<c s="1"><v>44104</v></c>']])}, styles=styles)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        main = archive.read("xl/workbook.xml").replace(b"<sheets>", b'<workbookPr date1904="1"/><sheets>')
    assert read("xlsx", with_part(data, "xl/workbook.xml", main)).text == "S\n\nx | 2024-10-01"


def test_cells_that_only_have_a_style_hide_no_names() -> None:
    blank = '<c s="1"/>'
    extraction = read("xlsx", book({"S": [["Fruit", "Price", blank, blank, blank], ["Apple", 1, blank]]}))
    assert extraction.text == "S\n\nFruit | Price\nFruit: Apple; Price: 1"


def test_a_text_of_several_runs_and_marks_is_one() -> None:
    runs = "<r><t>Gr</t></r><r><t>een_x000D_\nfield_x005F_x</t></r><rPh><t>no</t></rPh>"
    assert (
        read("xlsx", book({"S": [[f'<c t="inlineStr"><is>{runs}</is></c>', "x"]]})).text
        == "S\n\nGreen field_x | x"
    )


def test_a_sheet_that_is_not_in_the_file_is_named() -> None:
    data = book({"Here": [["a"]], "Gone": [["b"]]})
    only = samples.relations([("worksheet", "worksheets/sheet1.xml")])
    extraction = read("xlsx", with_part(data, "xl/_rels/workbook.xml.rels", only))
    assert extraction.warnings == ("sheet Gone is missing in the file",)


def test_the_names_may_stand_below_titles_and_beside_empty_columns() -> None:
    rows = [[None, "Price list"], [None, None, "Article", "Price"], [None, None, "Bolt", 0.5]]
    extraction = read("xlsx", book({"S": rows}))
    assert extraction.text == "S\n\nPrice list\nArticle | Price\nArticle: Bolt; Price: 0.5"
    assert place_of(extraction, "Article |") == "S!C2"
    assert place_of(extraction, "Bolt") == "S!C3"


def test_a_sheet_of_labels_and_values_has_no_names() -> None:
    rows = [["Customer name", "Smith Ltd"], ["Address", "12 Main Street"], ["Contact", "Jane Roe"]]
    assert read("xlsx", book({"S": rows})).text.endswith("Address | 12 Main Street\nContact | Jane Roe")


def test_money_whose_format_has_no_code_in_the_file() -> None:
    styles = '<cellXfs><xf numFmtId="44"/><xf numFmtId="39"/></cellXfs>'
    cells = ['<c s="0"><v>5</v></c>', '<c s="1"><v>6</v></c>']
    assert read("xlsx", workbook({"S": sheet([cells])}, styles=styles)).text == "S\n\n$5 | 6"


def test_numbers_with_a_unit_are_numbers_below_a_name() -> None:
    formats = '<numFmts><numFmt numFmtId="170" formatCode="0&quot; tonnes&quot;"/></numFmts>'
    styles = f'{formats}<cellXfs><xf numFmtId="170"/></cellXfs>'
    rows = [["Pier", "Load"], ["North", '<c s="0"><v>5</v></c>'], ["South", '<c s="0"><v>7</v></c>']]
    assert read("xlsx", workbook({"S": sheet(rows)}, styles=styles)).text.endswith(
        "Pier: South; Load: 7 tonnes"
    )


def merged(rows: Sequence[Sequence[object]], *references: str) -> bytes:
    nodes = "".join(f'<mergeCell ref="{reference}"/>' for reference in references)
    data = sheet(rows).replace(b"</sheetData>", f"</sheetData><mergeCells>{nodes}</mergeCells>".encode())
    return workbook({"S": data})


def test_a_merged_cell_stands_beside_each_of_its_rows() -> None:
    rows = [["Department", "Name", "Salary"], ["Finance", "Ann", 1], [None, "Bob", 2], [None, "Cid", 3]]
    extraction = read("xlsx", merged([*rows, [None, "Dan", 4]], "A2:A4"))
    assert extraction.text.splitlines()[3:] == [
        "Department: Finance; Name: Ann; Salary: 1",
        "Department: Finance; Name: Bob; Salary: 2",
        "Department: Finance; Name: Cid; Salary: 3",
        "Name: Dan; Salary: 4",
    ]
    assert place_of(extraction, "Name: Bob") == "S!B3"


def test_a_merged_cell_stands_above_each_of_its_columns() -> None:
    rows = [["", 2023, None, 2024], ["Region", "Q1", "Q2", "Q1", "Q2"], ["North", 1, 2, 3, 4]]
    extraction = read("xlsx", merged(rows, "B1:C1", "D1:E1"))
    assert extraction.text.splitlines()[2:4] == ["| 2023 | 2023 | 2024 | 2024", "Region | Q1 | Q2 | Q1 | Q2"]
    assert place_of(extraction, "2024 | 2024") == "S!D1"


def test_the_names_may_stand_below_those_of_groups() -> None:
    rows = [["Name", "Age", "Address"], [None, None, "Street", "City"], ["Ann", 5, "Main Street", "Oslo"]]
    assert read("xlsx", merged(rows, "A1:A2", "B1:B2", "C1:D1")).text.splitlines()[2:] == [
        "Name | Age | Address | Address",
        "Name | Age | Street | City",
        "Name: Ann; Age: 5; Street: Main Street; City: Oslo",
    ]


def test_names_of_two_merged_rows_are_above_what_follows() -> None:
    rows = [["Name", "Age"], [None, None, "<c/>"], ["Ann", 5]]
    assert read("xlsx", merged(rows, "A1:A2", "B1:B2")).text.endswith("Name: Ann; Age: 5")


@pytest.mark.parametrize(
    ("rows", "references", "text"),
    [
        # A title over all columns, a form, a note at the right, a long one at the left, a block of prose.
        (
            [["Prices"], ["Fruit", "Price"], ["Fig", 2]],
            ["A1:B1"],
            "Prices\nFruit | Price\nFruit: Fig; Price: 2",
        ),
        (
            [["Customer", "Ada Ltd"], ["Address", "Main Street"]],
            ["B1:D1", "B2:D2"],
            "Customer | Ada Ltd\nAddress | Main Street",
        ),
        ([["a b.", "c", "draft"], ["d", "e"], ["f", "g"]], ["C1:C3"], "a b. | c | draft\nd | e\nf | g"),
        ([["w " * 60, "c"], [None, "e"]], ["A1:A2"], f"{' '.join(['w'] * 60)} | c\n| e"),
        ([["Read me"], [None], [None]], ["A1:F3"], "Read me"),
        ([["a", "b"], [None, "c"]], ["A1:A9999999", "A1", "ZZZ1:ZZZ2", "B2:A1"], "a | b\nb: c"),
    ],
)
def test_other_merged_cells_are_not_repeated(
    rows: list[list[object]], references: list[str], text: str
) -> None:
    assert read("xlsx", merged(rows, *references)).text == f"S\n\n{text}"


def shape(*paragraphs: str, attributes: str = "") -> str:
    texts = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    return f"<xdr:sp {attributes}><xdr:txBody>{texts}</xdr:txBody></xdr:sp>"


def drawn(data: bytes, *shapes: str) -> bytes:
    """The book with a drawing on its first sheet: the first shape at C5, the others below."""
    space = "http://schemas.openxmlformats.org/drawingml/2006"
    anchors = "".join(
        f"<xdr:twoCellAnchor><xdr:from><xdr:col>2</xdr:col><xdr:row>{row}</xdr:row></xdr:from>{node}"
        "</xdr:twoCellAnchor>"
        for row, node in enumerate(shapes, start=4)
    )
    drawing = (
        f'<xdr:wsDr xmlns:xdr="{space}/spreadsheetDrawing" xmlns:a="{space}/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"{anchors}</xdr:wsDr>"
    )
    data = with_part(data, "xl/drawings/drawing1.xml", drawing.encode())
    relations = samples.relations([("drawing", "../drawings/drawing1.xml")])
    return with_part(data, "xl/worksheets/_rels/sheet1.xml.rels", relations)


def test_text_boxes_follow_the_rows_of_their_sheet() -> None:
    group = f"<xdr:grpSp>{shape('in a group')}</xdr:grpSp>"
    choice = (
        f"<mc:AlternateContent><mc:Choice>{shape('new')}</mc:Choice><mc:Fallback>{shape('old')}</mc:Fallback>"
        "</mc:AlternateContent>"
    )
    linked = shape("1.5", attributes='textlink="B2"')
    data = drawn(book({"S": PRICES, "T": [["next"]]}), shape("Budget", "is frozen"), group, choice, linked)
    extraction = read("xlsx", data)
    assert extraction.text == (
        "S\n\nFruit | Price\nFruit: Apple; Price: 1.5\nFruit: Quince; Price: 42\n\n"
        "Budget\nis frozen\n\nin a group\n\nnew\n\nT\n\nnext"
    )
    assert place_of(extraction, "is frozen") == "S!C5"
    assert place_of(extraction, "in a group") == "S!C6"
    assert place_of(extraction, "next") == "T!A1"


def test_a_sheet_of_nothing_but_a_text_box_has_its_name() -> None:
    assert read("xlsx", drawn(book({"S": []}), shape("Budget"))).text == "S\n\nBudget"


def test_a_broken_drawing_loses_no_cells() -> None:
    extraction = read("xlsx", drawn(book({"S": [["cell"]]}), "<broken>"))
    assert extraction.text == "S\n\ncell"
    assert "text boxes of sheet S were not read" in extraction.warnings[0]
