import pytest
from csv_fields import csv_fields


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""x""",y', ['say "x"', "y"]),
        ("a,,b", ["a", "", "b"]),
        ('"",z', ["", "z"]),
        ("end,", ["end", ""]),
    ],
)
def test_csv_fields(line, expected):
    assert csv_fields(line) == expected
