"""Search in what is sorted."""


def bounds(values, wanted):
    """First and last position of a value in a sorted list; None when it is not there."""

    def edge(left):
        low, high = 0, len(values)
        while low < high:
            middle = (low + high) // 2
            if values[middle] < wanted or (not left and values[middle] == wanted):
                low = middle + 1
            else:
                high = middle
        return low

    first = edge(True)
    if first == len(values) or values[first] != wanted:
        return None
    return first, edge(False) - 1
