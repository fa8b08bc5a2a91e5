"""The best sum of numbers that are not neighbours."""


def best_picks(values):
    """0 when nothing is worth picking."""
    taken, skipped = 0, 0
    for value in values:
        taken, skipped = skipped + value, max(taken, skipped)
    return max(taken, skipped)
