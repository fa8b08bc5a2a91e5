"""Roman numerals."""

SIGNS = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def to_roman(number: int) -> str:
    """The numeral of a number from 1 to 3999."""
    if not 1 <= number <= 3999:
        raise ValueError(f"{number} has no numeral")
    text = ""
    for value, sign in SIGNS:
        while number >= value:
            text += sign
            number -= value
    return text


def from_roman(text: str) -> int:
    """The number of a numeral."""
    values = {sign: value for value, sign in SIGNS if len(sign) == 1}
    total = 0
    for position, char in enumerate(text):
        if char not in values:
            raise ValueError(f"not a numeral: {text}")
        following = values.get(text[position + 1], 0) if position + 1 < len(text) else 0
        total += -values[char] if values[char] < following else values[char]
    return total
