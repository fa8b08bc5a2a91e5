"""Run-length coding."""


def run_lengths(text):
    """Pairs of sign and how often it stands in a row."""
    runs = []
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or text[index] != text[start]:
            runs.append((text[start], index - start))
            start = index
    return runs
