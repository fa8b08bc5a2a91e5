import pytest
from largest_square import largest_square


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ([], 0),
        ([[0]], 0),
        ([[1]], 1),
        ([[1, 1], [1, 1]], 2),
        ([[1, 0], [1, 1]], 1),
        ([[1, 1, 1], [1, 1, 1], [0, 1, 1]], 2),
        ([[0, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]], 3),
        ([[1, 1, 0, 1]], 1),
    ],
)
def test_largest_square(grid, expected):
    assert largest_square(grid) == expected
