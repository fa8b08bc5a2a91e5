"""Temperatures."""


def convert(value, unit, to="C"):
    """A temperature in another unit: C, F or K."""
    if unit == to:
        return value
    if unit == "C":
        kelvin = value + 273.15
    elif unit == "F":
        kelvin = (value - 32) * 5 / 9 + 273.15
    elif unit == "K":
        kelvin = value
    else:
        raise KeyError(unit)
    if kelvin < 0:
        raise ValueError("below absolute zero")
    if to == "C":
        return round(kelvin - 273.15, 2)
    if to == "F":
        return round((kelvin - 273.15) * 9 / 5 + 32, 2)
    if to == "K":
        return round(kelvin, 2)
    raise KeyError(to)
