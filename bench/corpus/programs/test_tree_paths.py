import pytest
from tree_paths import tree_paths


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ([], 0)),
        ([1], ([1], 1)),
        ([2, 1, 3], ([1, 2, 3], 2)),
        ([1, 2, 3], ([1, 2, 3], 3)),
        ([3, 2, 1], ([1, 2, 3], 3)),
        ([2, 2], ([2], 1)),
        ([5, 2, 8, 1, 9, 3], ([1, 2, 3, 5, 8, 9], 3)),
    ],
)
def test_tree_paths(values, expected):
    assert tree_paths(values) == expected
