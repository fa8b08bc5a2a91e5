"""Roman numerals."""

SIGNS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def roman(text):
    """The number that a numeral stands for."""
    total = 0
    previous = 0
    for sign in reversed(text):
        value = SIGNS[sign]
        if value < previous:
            total -= value
        else:
            total += value
            previous = value
    return total
