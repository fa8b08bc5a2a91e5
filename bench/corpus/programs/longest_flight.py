"""Numbers whose path to 1 is longest."""


def path_length(number, known):
    """Steps of n -> n / 2 or 3 n + 1 until 1."""
    if number == 1:
        return 0
    if number in known:
        return known[number]
    following = number // 2 if number % 2 == 0 else 3 * number + 1
    length = path_length(following, known) + 1
    known[number] = length
    return length


def longest_flight(limit):
    """The number up to the limit with the longest path; the smallest of several."""
    known = {}
    best, best_length = 1, 0
    for number in range(2, limit + 1):
        length = path_length(number, known)
        if length > best_length:
            best, best_length = number, length
    return (best, best_length)
