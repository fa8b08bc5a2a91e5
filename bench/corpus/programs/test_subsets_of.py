import pytest
from subsets_of import subsets_of


@pytest.mark.parametrize(
    ("items", "size", "expected"),
    [
        ([], 0, [[]]),
        ([], 1, []),
        ([1], 1, [[1]]),
        ([1, 2], 1, [[1], [2]]),
        ([1, 2, 3], 2, [[1, 2], [1, 3], [2, 3]]),
        ([1, 2, 3, 4], 3, [[1, 2, 3], [1, 2, 4], [1, 3, 4], [2, 3, 4]]),
        ([1, 2], 3, []),
    ],
)
def test_subsets_of(items, size, expected):
    assert subsets_of(items, size) == expected
