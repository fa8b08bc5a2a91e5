"""Buying low and selling high."""


def stock_profit(prices, fee):
    """The best gain with any number of deals, one at a time, each of which costs a fee."""
    if not prices:
        return 0
    cash = 0
    holding = -prices[0]
    for price in prices[1:]:
        cash = max(cash, holding + price - fee)
        holding = max(holding, cash - price)
    return cash
