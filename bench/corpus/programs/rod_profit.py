"""Cuts a rod so that it sells best."""


def rod_profit(length, prices):
    """The best sum for a rod. prices: by length of a piece, from 1."""
    best = [0] * (length + 1)
    for size in range(1, length + 1):
        top = 0
        for piece in range(1, size + 1):
            if piece in prices:
                top = max(top, prices[piece] + best[size - piece])
        best[size] = top
    return best[length]
