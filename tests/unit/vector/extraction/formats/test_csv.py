import pytest

from services.vector.extraction.errors import DocumentTooLargeError
from tests.unit.vector.extraction import samples


def text_of(data: str) -> str:
    return samples.read("csv", data.encode()).text


def test_rows_say_what_their_values_are() -> None:
    extraction = samples.read("csv", b'name,size,"note, long"\noak,20,"tall\r\ntree"\nbeech,,x,more\n')
    assert extraction.text == (
        "name | size | note, long\nname: oak; size: 20; note, long: tall tree\n"
        "name: beech; note, long: x; more"
    )
    assert [kind for kind, _, _ in samples.blocks(extraction)] == ["table"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    rows = [("City", "People"), ("Oslo", "700000"), ("Bergen, west", "290000")]
    data = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert text_of(data).splitlines()[2] == "City: Bergen, west; People: 290000"


def test_without_names_cells_keep_their_place() -> None:
    data = "An oak, old; stands there; alone\nA beech; ; grows tall\n"
    assert text_of(data) == "An oak, old | stands there | alone\nA beech |  | grows tall"


def test_formulas_are_text() -> None:
    assert "=cmd()" in text_of("a,b\n=cmd(),2\n")


def test_a_column_of_text_is_lines() -> None:
    assert text_of("one\ntwo\n\nthree") == "one\ntwo\nthree"


@pytest.mark.parametrize("data", ["a,b\n1," + "x" * 2_000_000, "1," * 20_000, 'a,b\n1,"' + "x\n" * 1_000_000])
def test_monstrous_rows_are_refused(data: str) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        text_of(data)
    assert caught.value.metadata["unit"] in ("characters in a cell", "columns")


def test_a_line_is_counted_from_a_place_that_is_near() -> None:
    rows = [f"row {n},{'words ' * 10}" for n in range(2_000)]
    extraction = samples.read("csv", "\n".join(rows).encode())
    text = extraction.text.encode()
    starts = [place.byte_start for place in extraction.places]
    assert max(b - a for a, b in zip(starts, [*starts[1:], len(text)], strict=True)) < 20_000
    for place in extraction.places:
        assert text[place.byte_start :].startswith(f"row {place.line - 1} |".encode())


@pytest.mark.parametrize(
    ("data", "last"),
    [
        ("Project,Harbour\nBudget,1200\nYear,2024\n", "Year | 2024"),
        ("Customer name,Smith Ltd\nAddress,12 Main Street\nContact,Jane Roe\n", "Contact | Jane Roe"),
        ("City,Population\nOslo,700000\nBergen,290000\n", "City: Bergen; Population: 290000"),
        ("Name,City\nJane Roe,Oslo\nJohn Doe,Bergen\n", "Name: John Doe; City: Bergen"),
        ("Field,Type\nid,number\nname,text\n", "Field: name; Type: text"),
        ("Fruit,Weight\nQuince,3\nTotal,3\n", "Fruit: Total; Weight: 3"),
        ("Expense,Cost\nRent,700\nPhone,20\nFood,300\n", "Expense: Food; Cost: 300"),
    ],
)
def test_rows_of_a_label_and_its_value_have_no_names(data: str, last: str) -> None:
    assert text_of(data).splitlines()[-1] == last


def test_the_names_may_stand_below_titles_and_beside_empty_columns() -> None:
    data = "Price list,,,\nvalid from May,,,\n,,Article,Price\n,,Bolt,2\n,,Nut,3\n"
    assert text_of(data) == (
        "Price list\nvalid from May\nArticle | Price\nArticle: Bolt; Price: 2\nArticle: Nut; Price: 3"
    )


def test_what_says_the_delimiter_is_a_line_and_no_text() -> None:
    extraction = samples.read("csv", "\ufeffsep=;\r\nCity;Sales\r\nBonn;2,25\r\n\r\nKiel;3,5\r\n".encode())
    assert extraction.text == "City | Sales\nCity: Bonn; Sales: 2,25\nCity: Kiel; Sales: 3,5"
    assert [place.line for place in extraction.places] == [2, 5]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("1,5;2,5\n3,5;4,5\n", "1,5 | 2,5\n3,5 | 4,5"),
        ("Smith, John\tOslo\nDoe, Jane\tBergen\n", "Smith, John | Oslo\nDoe, Jane | Bergen"),
        ("Oslo,red;blue\nBergen,green;grey\n", "Oslo | red;blue\nBergen | green;grey"),
        ("1,2,3\n4,5,6\n", "1 | 2 | 3\n4 | 5 | 6"),
        (
            'Name, City, Note\nSmith, "Berlin, Germany", x\n',
            "Name | City | Note\nName: Smith; City: Berlin, Germany; Note: x",
        ),
        ('He said, "Go on, then\nShe said, no\n', 'He said | "Go on | then\nShe said | no'),
    ],
)
def test_commas_in_numbers_and_blanks_before_quotes(data: str, text: str) -> None:
    assert text_of(data) == text
