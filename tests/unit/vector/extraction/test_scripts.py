import pytest

from services.vector.extraction.scripts import fraction, lowered, raised


@pytest.mark.parametrize(
    ("text", "above", "below"),
    [
        ("6", "⁶", "₆"),
        ("-12", "⁻¹²", "₋₁₂"),
        ("(n+1)", "⁽ⁿ⁺¹⁾", "₍ₙ₊₁₎"),
        ("2 ", "² ", "₂ "),
        ("x", "^x", "_x"),
        ("max", "^max", "_max"),
        ("x+y", "^(x+y)", "_(x+y)"),
        ("", "", ""),
        ("*", "*", "*"),
        ("[12]", "[12]", "[12]"),
        ("without any warranty", "without any warranty", "without any warranty"),
    ],
)
def test_what_is_raised_and_what_is_lowered(text: str, above: str, below: str) -> None:
    assert (raised(text), lowered(text)) == (above, below)


@pytest.mark.parametrize("ending", ["st", "nd", "rd", "th", "e", "er", "º", "TM"])
def test_ends_of_ordinal_numbers_stay_plain(ending: str) -> None:
    assert raised(ending) == ending


@pytest.mark.parametrize(
    ("above", "below", "written"), [("1", "2", "1/2"), ("a+b", "c", "(a+b)/c"), (" x ", "2.5", "x/2.5")]
)
def test_fractions(above: str, below: str, written: str) -> None:
    assert fraction(above, below) == written


def test_long_text_takes_no_time() -> None:
    assert raised("a" * 1_000_000) == "^" + "a" * 1_000_000
    assert raised("a " * 500_000 + "1").startswith("^(a a")
