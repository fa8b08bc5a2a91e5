"""Ways to pay an amount."""


def coin_ways(coins, amount):
    """How many different handfuls of coins make the amount."""
    ways = [0] * (amount + 1)
    ways[0] = 1
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    return ways[amount]
