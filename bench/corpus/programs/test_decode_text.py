import pytest
from decode_text import decode_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("ab", "ab"),
        ("3[a]", "aaa"),
        ("2[ab]c", "ababc"),
        ("2[a3[b]]", "abbbabbb"),
        ("12[x]", "xxxxxxxxxxxx"),
        ("a2[b]2[c]", "abbcc"),
        ("2[3[z]y]x", "zzzyzzzyx"),
    ],
)
def test_decode_text(text, expected):
    assert decode_text(text) == expected
