"""Binary search for a bound."""


def first_at_least(values, wanted):
    """Index of the first value that is at least the wanted one; the length when there is none."""
    low = 0
    high = len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
