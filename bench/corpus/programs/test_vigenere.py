import pytest
from vigenere import vigenere


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "k", ""),
        ("abc", "a", "abc"),
        ("abc", "b", "bcd"),
        ("xyz", "c", "zab"),
        ("hello, you", "key", "rijvs, wyy"),
        ("a b", "bz", "b a"),
        ("zz", "zb", "ya"),
    ],
)
def test_vigenere(text, key, expected):
    assert vigenere(text, key) == expected
