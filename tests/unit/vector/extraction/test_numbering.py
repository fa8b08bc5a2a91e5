import pytest

from services.vector.extraction.numbering import Counters, Level, numeral


@pytest.mark.parametrize(
    ("number", "kind", "shown"),
    [
        (7, "decimal", "7"),
        (7, "decimalZero", "07"),
        (3, "lowerLetter", "c"),
        (28, "upperLetter", "BB"),
        (1994, "lowerRoman", "mcmxciv"),
        (9, "upperRoman", "IX"),
        (2, "russianUpper", "Б"),
        (21, "chineseCounting", "二十一"),
        (10, "japaneseCounting", "十"),
        (3, "decimalEnclosedCircle", "③"),
        (3, "none", ""),
        (0, "decimal", "0"),
        (0, "lowerLetter", None),
        (3, "hebrew1", None),
        (-1, "decimal", None),
        (10**9, "lowerRoman", None),
        (10_000, "lowerLetter", None),
    ],
)
def test_numerals(number: int, kind: str, shown: str | None) -> None:
    assert numeral(number, kind) == shown


def test_levels_count_below_those_above() -> None:
    levels = {
        0: Level("upperLetter", "%1."),
        1: Level("decimal", "%1.%2", start=5),
        2: Level("lowerRoman", "%3)", restart=1),
        3: Level("hebrew1", "%4"),
        4: Level("decimal", "%1%2%5", legal=True),
        5: Level("decimal", "%1%4"),
    }
    counters = Counters()
    shown = [counters.count(levels, level) for level in (1, 0, 1, 1, 2, 1, 2, 0, 2, 3, 4, 5, 8)]
    assert shown == ["A.5", "A.", "A.5", "A.6", "i)", "A.7", "ii)", "B.", "i)", "", "251", "", ""]
    counters.begin(0, 9)
    assert counters.count(levels, 0) == "I."
