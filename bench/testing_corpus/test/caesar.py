"""A simple cipher."""


def shift(text, by, decode=False):
    """Each letter moved in the alphabet."""
    if decode:
        by = -by
    result = []
    for char in text:
        if "a" <= char <= "z":
            result.append(chr((ord(char) - 97 + by) % 26 + 97))
        elif "A" <= char <= "Z":
            result.append(chr((ord(char) - 65 + by) % 26 + 65))
        else:
            result.append(char)
    return "".join(result)
