"""Intervals of whole numbers."""


def merge(intervals):
    """Overlapping intervals made one, in order."""
    merged = []
    for start, end in sorted(intervals):
        if start > end:
            raise ValueError(f"an interval ends before it starts: {start}, {end}")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
