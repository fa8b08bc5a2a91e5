"""Reads lengths of time."""

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def duration(text):
    """Seconds of a text such as 1h30m; None when it is none."""
    total = 0
    number = ""
    for sign in text:
        if sign.isdigit():
            number += sign
        elif sign in UNITS and number:
            total += int(number) * UNITS[sign]
            number = ""
        else:
            return None
    if number or not text:
        return None
    return total
