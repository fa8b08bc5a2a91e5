"""The value at a rank."""


def quick_select(values, rank):
    """The value that would stand at the rank, from 0, if all were sorted; None when there is no such rank."""
    if rank < 0 or rank >= len(values):
        return None
    pivot = values[len(values) // 2]
    smaller = [value for value in values if value < pivot]
    larger = [value for value in values if value > pivot]
    equal = len(values) - len(smaller) - len(larger)
    if rank < len(smaller):
        return quick_select(smaller, rank)
    if rank < len(smaller) + equal:
        return pivot
    return quick_select(larger, rank - len(smaller) - equal)
