import pytest
from grid_distance import grid_distance


@pytest.mark.parametrize(
    ("grid", "start", "goal", "expected"),
    [
        (["."], (0, 0), (0, 0), 0),
        (["..", ".."], (0, 0), (1, 1), 2),
        ([".#.", ".#.", "..."], (0, 0), (0, 2), 6),
        ([".#.", "##.", "..."], (0, 0), (2, 2), None),
        (["....", "###.", "...."], (0, 0), (2, 0), 8),
        ([".#", ".#"], (0, 0), (1, 0), 1),
    ],
)
def test_grid_distance(grid, start, goal, expected):
    assert grid_distance(grid, start, goal) == expected
