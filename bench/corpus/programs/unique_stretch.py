"""The longest stretch without a repeated sign."""


def unique_stretch(text):
    """Its length."""
    last = {}
    start = 0
    longest = 0
    for index, sign in enumerate(text):
        if sign in last and last[sign] >= start:
            start = last[sign] + 1
        last[sign] = index
        longest = max(longest, index - start + 1)
    return longest
