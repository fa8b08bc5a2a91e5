import pytest
from power_mod import power_mod


@pytest.mark.parametrize(
    ("base", "exponent", "modulus", "expected"),
    [
        (2, 10, 1000, 24),
        (3, 0, 7, 1),
        (5, 3, 13, 8),
        (7, 1, 5, 2),
        (10, 5, 1, 0),
        (2, 5, 100, 32),
        (123, 45, 67, 62),
        (-2, 3, 5, 2),
    ],
)
def test_power_mod(base, exponent, modulus, expected):
    assert power_mod(base, exponent, modulus) == expected
