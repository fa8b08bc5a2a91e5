import pytest

from services.vector import tokens
from services.vector.extraction.scripts import fraction, joined, lowered, noted, raised, root


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([("10", 0), ("6", 1), (" units", 0)], "10⁶ units"),
        ([("10", 0), ("\u2212", 1), ("3", 1)], "10⁻³"),
        ([("Ca", 0), ("2+", 1)], "Ca²⁺"),
        ([("a", 0), ("n-1", -1)], "aₙ₋₁"),
        ([("as shown", 0), ("1, 2", 1)], "as shown¹, ²"),
        ([("e", 0), ("x+y", 1)], "e^(x+y)"),
        ([("x", 0), ("i", -1), ("2", 1)], "x_i²"),
        ([("k", 0), ("e", -1)], "k_e"),
        ([("Acme", 0), ("TM", 1)], "Acme^TM"),
        ([("the 2", 0), ("nd", 1), (" of May", 0)], "the 2nd of May"),
        ([("le 1", 0), ("er", 1), (" mai, M", 0), ("me", 1), (" Roe", 0)], "le 1er mai, Mme Roe"),
        ([("n", 0), ("o.", 1), (" 5", 0)], "no. 5"),
        ([("20 ", 0), ("°", 1), ("C", 0)], "20 °C"),
        ([("b", 1), (" Without tax", 0)], "b Without tax"),
        ([("Fee", 0), (" all of it set in small letters", 1)], "Fee all of it set in small letters"),
        ([("m", 0), ("2 ", 1), ("wide", 0)], "m² wide"),
        ([("m", 0), ("", 1), ("x", 0)], "mx"),
        ([("thus", 0), ("[2]", 1)], "thus[2]"),
        ([], ""),
    ],
)
def test_pieces_of_prose(pieces: list[tuple[str, int]], text: str) -> None:
    assert joined(pieces) == text


def test_formulas() -> None:
    assert (raised("e"), raised("′"), lowered("max"), raised("-n")) == ("^e", "′", "_max", "⁻ⁿ")
    assert fraction("1", "2") == "1/2"
    assert fraction("a + b", "2.5") == "(a + b)/2.5"
    assert fraction("(a+b)", "(c)(d)") == "(a+b)/((c)(d))"
    assert (root("x"), root("x+1", "3")) == ("√(x)", "³√(x+1)")


def test_the_mark_of_a_note_is_no_power() -> None:
    assert noted([("14 m", 0)], "1") == ("[1]", 0)
    assert noted([("14 m ", 0)], "*") == ("*", 0)
    assert noted([], "1") == ("1", 0)


@pytest.mark.parametrize(
    ("pieces", "word"),
    [
        ([("CO", 0), ("2", -1)], "co2"),
        ([("m", 0), ("2", 1)], "m2"),
        ([("V", 0), ("max", -1)], "vmax"),
        ([("Acme", 0), ("TM", 1)], "acme"),
    ],
)
def test_plain_words_find_them(pieces: list[tuple[str, int]], word: str) -> None:
    text = joined(pieces)
    assert word in (tokens.words(text) + tokens.names(text).split())


def test_long_text_takes_no_time() -> None:
    assert raised("a" * 1_000_000) == "^" + "a" * 1_000_000
    assert raised("a " * 500_000 + "1").startswith("^(a a")
    assert joined([("a", 0), ("1" * 1_000_000, 1)]).startswith("a¹¹")
