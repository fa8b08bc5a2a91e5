import pytest
from island_count import island_count


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ([], 0),
        ([[0]], 0),
        ([[1]], 1),
        ([[1, 0, 1]], 2),
        ([[1, 1], [0, 1]], 1),
        ([[1, 0], [0, 1]], 2),
        ([[1, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1]], 3),
        ([[0, 1, 0], [1, 1, 1], [0, 1, 0]], 1),
        ([[1], [0], [1], [1]], 2),
    ],
)
def test_island_count(grid, expected):
    assert island_count(grid) == expected
