import pytest
from common_part import common_part


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", ""),
        ("a", "a", "a"),
        ("abc", "xbcy", "bc"),
        ("abcd", "dcba", "a"),
        ("banana", "canal", "ana"),
        ("same", "same", "same"),
        ("aaab", "aab", "aab"),
        ("xyz", "abc", ""),
    ],
)
def test_common_part(first, second, expected):
    assert common_part(first, second) == expected
