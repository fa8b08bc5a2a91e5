"""Lists in two."""


def partition(predicate, items):
    """The items for which it is true and the others."""
    yes, no = [], []
    for item in items:
        (yes if predicate(item) else no).append(item)
    return yes, no


def chunks(items, size):
    """Lists of at most so many items."""
    if size <= 0:
        raise ValueError("size must be positive")
    return [items[i : i + size] for i in range(0, len(items), size)]
