"""Nested lists as one."""


def flatten(nested, depth):
    """Values of lists in lists, down to a depth; -1 for all."""
    flat = []
    for item in nested:
        if isinstance(item, list) and depth != 0:
            flat.extend(flatten(item, depth - 1))
        else:
            flat.append(item)
    return flat
