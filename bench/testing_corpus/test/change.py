"""Change in coins."""


def change(amount: int, coins: list[int] | None = None) -> dict[int, int]:
    """How often each coin is given, largest first. Raises ValueError when it does not come out."""
    if amount < 0:
        raise ValueError("nothing to give")
    given: dict[int, int] = {}
    for coin in sorted(coins if coins is not None else [1, 2, 5, 10, 20, 50], reverse=True):
        if coin <= 0:
            raise ValueError("a coin has a value")
        count, amount = divmod(amount, coin)
        if count:
            given[coin] = count
    if amount:
        raise ValueError(f"{amount} remains")
    return given
