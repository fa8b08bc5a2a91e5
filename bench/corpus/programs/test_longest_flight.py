import pytest
from longest_flight import longest_flight


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, (1, 0)),
        (2, (2, 1)),
        (3, (3, 7)),
        (5, (3, 7)),
        (10, (9, 19)),
        (30, (27, 111)),
    ],
)
def test_longest_flight(limit, expected):
    assert longest_flight(limit) == expected
