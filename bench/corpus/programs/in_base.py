"""Writes numbers in another base."""

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def in_base(number, base):
    """The digits of a number in base 2 to 36."""
    if number == 0:
        return "0"
    negative = number < 0
    number = abs(number)
    digits = ""
    while number > 0:
        number, rest = divmod(number, base)
        digits = DIGITS[rest] + digits
    if negative:
        return "-" + digits
    return digits
