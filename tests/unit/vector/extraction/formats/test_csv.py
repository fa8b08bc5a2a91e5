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
