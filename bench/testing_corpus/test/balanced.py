"""Brackets."""


def first_fault(text):
    """Where brackets first do not fit, or -1."""
    pairs = {")": "(", "]": "[", "}": "{"}
    opened = []
    for at, char in enumerate(text):
        if char in pairs.values():
            opened.append((char, at))
        elif char in pairs:
            if not opened or opened[-1][0] != pairs[char]:
                return at
            opened.pop()
    return opened[0][1] if opened else -1
