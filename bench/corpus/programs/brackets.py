"""Checks that brackets fit."""

PAIRS = {")": "(", "]": "[", "}": "{"}


def brackets(text):
    """Index of the first one that does not fit, the length when one is never closed, -1 when all is well."""
    stack = []
    for index, sign in enumerate(text):
        if sign in PAIRS.values():
            stack.append(sign)
        elif sign in PAIRS:
            if not stack or stack[-1] != PAIRS[sign]:
                return index
            stack.pop()
    if stack:
        return len(text)
    return -1
