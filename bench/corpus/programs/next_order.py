"""The next arrangement in order."""


def next_order(items):
    """The next larger arrangement; the smallest after the last."""
    result = list(items)
    pivot = len(result) - 2
    while pivot >= 0 and result[pivot] >= result[pivot + 1]:
        pivot -= 1
    if pivot < 0:
        return sorted(result)
    other = len(result) - 1
    while result[other] <= result[pivot]:
        other -= 1
    result[pivot], result[other] = result[other], result[pivot]
    return result[: pivot + 1] + result[pivot + 1 :][::-1]
