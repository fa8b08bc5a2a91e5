"""Orders three kinds in one pass."""


def three_flags(values, pivot):
    """Smaller than the pivot first, then equal, then larger; the order within is free but fixed."""
    items = list(values)
    low = 0
    middle = 0
    high = len(items) - 1
    while middle <= high:
        if items[middle] < pivot:
            items[low], items[middle] = items[middle], items[low]
            low += 1
            middle += 1
        elif items[middle] > pivot:
            items[middle], items[high] = items[high], items[middle]
            high -= 1
        else:
            middle += 1
    return items
