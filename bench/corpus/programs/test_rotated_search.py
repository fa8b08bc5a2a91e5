import pytest
from rotated_search import rotated_search


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([], 1, -1),
        ([1], 1, 0),
        ([1], 2, -1),
        ([4, 5, 6, 1, 2, 3], 1, 3),
        ([4, 5, 6, 1, 2, 3], 6, 2),
        ([4, 5, 6, 1, 2, 3], 3, 5),
        ([3, 1], 1, 1),
        ([2, 3, 4, 5, 1], 1, 4),
        ([5, 1, 2, 3, 4], 5, 0),
        ([1, 2, 3, 4, 5], 4, 3),
        ([6, 7, 1, 2, 3, 4, 5], 0, -1),
    ],
)
def test_rotated_search(values, wanted, expected):
    assert rotated_search(values, wanted) == expected
