"""The longest rising choice."""


def longest_rise(values):
    """One of the longest choices of values, in their order, each larger than the one before."""
    lengths = []
    previous = []
    for index, value in enumerate(values):
        best, source = 1, -1
        for earlier in range(index):
            if values[earlier] < value and lengths[earlier] + 1 > best:
                best, source = lengths[earlier] + 1, earlier
        lengths.append(best)
        previous.append(source)
    if not lengths:
        return []
    place = lengths.index(max(lengths))
    chosen = []
    while place != -1:
        chosen.append(values[place])
        place = previous[place]
    return chosen[::-1]
