"""All choices of some of the items."""


def subsets_of(items, size):
    """Choices of exactly so many items, in the order of the items."""
    if size == 0:
        return [[]]
    if len(items) < size:
        return []
    first, rest = items[0], items[1:]
    chosen = []
    for subset in subsets_of(rest, size - 1):
        chosen.append([first, *subset])
    chosen.extend(subsets_of(rest, size))
    return chosen
