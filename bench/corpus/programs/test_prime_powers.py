import pytest
from prime_powers import prime_powers


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, []),
        (2, [(2, 1)]),
        (4, [(2, 2)]),
        (12, [(2, 2), (3, 1)]),
        (97, [(97, 1)]),
        (360, [(2, 3), (3, 2), (5, 1)]),
        (49, [(7, 2)]),
        (1001, [(7, 1), (11, 1), (13, 1)]),
    ],
)
def test_prime_powers(number, expected):
    assert prime_powers(number) == expected
