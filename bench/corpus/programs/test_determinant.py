import pytest
from determinant import determinant


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([], 1),
        ([[3]], 3),
        ([[1, 2], [3, 4]], -2),
        ([[2, 0], [0, 2]], 4),
        ([[1, 2, 3], [4, 5, 6], [7, 8, 10]], -3),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], -1),
    ],
)
def test_determinant(matrix, expected):
    assert determinant(matrix) == expected
