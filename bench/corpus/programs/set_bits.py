"""Bits of a number."""


def gray(number):
    """The Gray code of a number."""
    return number ^ (number >> 1)


def set_bits(number):
    """Places of the bits that are set in the Gray code, lowest first."""
    code = gray(number)
    places = []
    place = 0
    while code:
        if code & 1:
            places.append(place)
        code >>= 1
        place += 1
    return places
