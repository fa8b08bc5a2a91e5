"""Runs of equal characters."""


def pack(text: str) -> list[tuple[str, int]]:
    """Each character with how often it stands in a row."""
    runs: list[tuple[str, int]] = []
    for char in text:
        if runs and runs[-1][0] == char:
            runs[-1] = (char, runs[-1][1] + 1)
        else:
            runs.append((char, 1))
    return runs


def unpack(runs: list[tuple[str, int]]) -> str:
    """The text of the runs."""
    for _, count in runs:
        if count < 0:
            raise ValueError("a run cannot be shorter than nothing")
    return "".join(char * count for char, count in runs)
