"""Sorts small integers by counting them."""


def counting_sort(values):
    """A sorted copy of integers, negative ones too."""
    if not values:
        return []
    low = min(values)
    counts = [0] * (max(values) - low + 1)
    for value in values:
        counts[value - low] += 1
    result = []
    for offset, count in enumerate(counts):
        result.extend([low + offset] * count)
    return result
