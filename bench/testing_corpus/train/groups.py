"""Records in groups."""


def totals(records, by="category", minimum=0):
    """The sum and number of the amounts of each group, largest first."""
    sums = {}
    for record in records:
        key = record.get(by)
        if key is None:
            key = "other"
        amount = record["amount"]
        if amount < minimum:
            continue
        count, total = sums.get(key, (0, 0))
        sums[key] = (count + 1, total + amount)
    return sorted(((key, count, total) for key, (count, total) in sums.items()), key=lambda g: (-g[2], g[0]))
