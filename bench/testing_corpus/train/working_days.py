"""Days on which somebody works."""

from datetime import date, timedelta


def working_days(first: date, last: date, holidays: frozenset[date] = frozenset()) -> int:
    """How many days from the first to the last are neither at a weekend nor holidays."""
    if last < first:
        return -working_days(last, first, holidays)
    count = 0
    day = first
    while day <= last:
        if day.weekday() < 5 and day not in holidays:
            count += 1
        day += timedelta(days=1)
        if (day - first).days > 3660:
            raise OverflowError("more than ten years")
    return count
