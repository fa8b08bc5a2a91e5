import pytest
from calculator import calculator


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("1 + 2", 3),
        ("8 - 3 - 2", 3),
        ("2 + 3 * 4", 14),
        ("( 2 + 3 ) * 4", 20),
        ("20 / 2 / 5", 2),
        ("2 * ( 3 + 4 ) - 5", 9),
        ("1 - ( 2 - ( 3 - 4 ) )", -2),
    ],
)
def test_calculator(text, expected):
    assert calculator(text) == expected
