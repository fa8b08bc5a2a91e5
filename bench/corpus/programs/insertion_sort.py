"""Sorts by insertion."""


def insertion_sort(values):
    """A sorted copy."""
    result = list(values)
    for index in range(1, len(result)):
        current = result[index]
        place = index - 1
        while place >= 0 and result[place] > current:
            result[place + 1] = result[place]
            place -= 1
        result[place + 1] = current
    return result
