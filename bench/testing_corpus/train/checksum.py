"""Numbers with a check digit."""


def is_valid(number: str) -> bool:
    """Whether the digits of a number have the right check digit at their end (each second one doubled)."""
    digits = [char for char in number if char not in " -"]
    if len(digits) < 2 or not all(char.isdigit() for char in digits):
        return False
    total = 0
    for position, char in enumerate(reversed(digits)):
        digit = int(char)
        if position % 2:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0
