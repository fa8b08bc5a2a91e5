"""Merges sorted lists."""


def merge_two(left, right):
    """One sorted list out of two."""
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    merged.extend(left[i:])
    merged.extend(right[j:])
    return merged


def merge_sorted(lists):
    """One sorted list out of many."""
    if not lists:
        return []
    while len(lists) > 1:
        pairs = []
        for k in range(0, len(lists), 2):
            if k + 1 < len(lists):
                pairs.append(merge_two(lists[k], lists[k + 1]))
            else:
                pairs.append(lists[k])
        lists = pairs
    return lists[0]
