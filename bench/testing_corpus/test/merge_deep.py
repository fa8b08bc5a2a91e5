"""Nested mappings."""


def merge(base, changes, *, lists="replace"):
    """A mapping with the changes in it, nested ones merged; lists replaced or appended."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merge(old, value, lists=lists)
        elif isinstance(old, list) and isinstance(value, list) and lists == "append":
            result[key] = old + value
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result
