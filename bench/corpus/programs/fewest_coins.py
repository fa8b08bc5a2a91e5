"""The fewest coins for an amount."""


def fewest_coins(coins, amount):
    """How many coins are needed at least; -1 when it cannot be paid."""
    infinity = amount + 1
    best = [0] + [infinity] * amount
    for total in range(1, amount + 1):
        for coin in coins:
            if coin <= total:
                best[total] = min(best[total], best[total - coin] + 1)
    if best[amount] == infinity:
        return -1
    return best[amount]
