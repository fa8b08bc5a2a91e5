import pytest
from binomials import binomials


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (0, []),
        (1, [[1]]),
        (2, [[1], [1, 1]]),
        (3, [[1], [1, 1], [1, 2, 1]]),
        (5, [[1], [1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 6, 4, 1]]),
    ],
)
def test_binomials(rows, expected):
    assert binomials(rows) == expected
