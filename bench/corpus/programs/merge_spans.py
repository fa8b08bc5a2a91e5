"""Joins spans that touch."""


def merge_spans(spans):
    """Spans (start, end) in order, those that overlap or touch as one."""
    merged = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
