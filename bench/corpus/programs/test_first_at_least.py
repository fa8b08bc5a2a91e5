import pytest
from first_at_least import first_at_least


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([], 3, 0),
        ([1, 2, 3], 2, 1),
        ([1, 2, 3], 4, 3),
        ([1, 2, 3], 0, 0),
        ([2, 2, 2], 2, 0),
        ([1, 3, 5, 7], 6, 3),
        ([1, 3, 5, 7], 3, 1),
        ([5], 5, 0),
    ],
)
def test_first_at_least(values, wanted, expected):
    assert first_at_least(values, wanted) == expected
