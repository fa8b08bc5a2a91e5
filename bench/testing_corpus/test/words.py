"""Counting words."""

import re


def frequent(text: str, count: int = 3, *, stop: tuple[str, ...] = ("the", "a", "of"), lower: bool = True):
    """The most frequent words with how often they stand there."""
    if lower:
        text = text.lower()
    counts: dict[str, int] = {}
    for word in re.findall(r"[A-Za-z']+", text):
        if word not in stop:
            counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ranked[:count]
