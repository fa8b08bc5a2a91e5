"""Pairs with a given sum."""


def pair_count(values, target):
    """How many pairs of different values of a sorted list add up to the target."""
    low = 0
    high = len(values) - 1
    count = 0
    while low < high:
        total = values[low] + values[high]
        if total == target:
            count += 1
            low += 1
            high -= 1
        elif total < target:
            low += 1
        else:
            high -= 1
    return count
