"""Nested lists."""


def depth(nested):
    """How deep lists stand in lists; 0 for what is no list."""
    if not isinstance(nested, list):
        return 0
    return 1 + max((depth(item) for item in nested), default=0)


def flatten(nested, levels=None):
    """The items of nested lists, all levels or so many."""
    result = []
    for item in nested:
        if isinstance(item, list) and (levels is None or levels > 0):
            result.extend(flatten(item, None if levels is None else levels - 1))
        else:
            result.append(item)
    return result
