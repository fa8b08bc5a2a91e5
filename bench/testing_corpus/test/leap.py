"""The calendar."""


def days_in_month(year, month):
    """How many days a month has."""
    if month < 1 or month > 12:
        raise ValueError("month must be 1 to 12")
    if month == 2:
        if year % 400 == 0 or (year % 4 == 0 and year % 100 != 0):
            return 29
        return 28
    if month in (4, 6, 9, 11):
        return 30
    return 31
