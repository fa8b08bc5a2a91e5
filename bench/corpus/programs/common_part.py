"""The longest common part of two texts."""


def common_part(first, second):
    """The longest text that stands in both without a gap; the first of several."""
    best_length = 0
    best_end = 0
    lengths = [0] * (len(second) + 1)
    for i, left in enumerate(first):
        row = [0] * (len(second) + 1)
        for j, right in enumerate(second):
            if left == right:
                row[j + 1] = lengths[j] + 1
                if row[j + 1] > best_length:
                    best_length = row[j + 1]
                    best_end = i + 1
        lengths = row
    return first[best_end - best_length : best_end]
