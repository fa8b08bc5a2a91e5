import pytest
from group_count import group_count


@pytest.mark.parametrize(
    ("size", "pairs", "expected"),
    [
        (0, [], 0),
        (3, [], 3),
        (3, [(0, 1)], 2),
        (3, [(0, 1), (1, 2)], 1),
        (3, [(0, 1), (1, 0)], 2),
        (5, [(0, 1), (2, 3), (1, 3), (0, 2)], 2),
        (4, [(0, 0)], 4),
        (6, [(0, 1), (1, 2), (3, 4), (4, 5), (5, 3)], 2),
    ],
)
def test_group_count(size, pairs, expected):
    assert group_count(size, pairs) == expected
