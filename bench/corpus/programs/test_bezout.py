import pytest
from bezout import bezout


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (6, 0, (6, 1, 0)),
        (6, 4, (2, 1, -1)),
        (35, 15, (5, 1, -2)),
        (17, 5, (1, -2, 7)),
        (5, 17, (1, 7, -2)),
        (240, 46, (2, -9, 47)),
        (1, 1, (1, 0, 1)),
    ],
)
def test_bezout(a, b, expected):
    assert bezout(a, b) == expected
