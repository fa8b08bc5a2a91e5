"""Times of day."""

import re


def minutes(text):
    """Minutes since midnight of a time such as "13:45" or "1:45 pm"."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?:\s*(am|pm))?", text.strip().lower())
    if match is None:
        raise ValueError(f"no time: {text!r}")
    hour, minute, half = int(match.group(1)), int(match.group(2)), match.group(3)
    if minute > 59:
        raise ValueError("minutes go to 59")
    if half is None:
        if hour > 23:
            raise ValueError("hours go to 23")
    else:
        if not 1 <= hour <= 12:
            raise ValueError("hours go from 1 to 12")
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour * 60 + minute
