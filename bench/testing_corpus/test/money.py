"""Amounts with a currency."""

from decimal import ROUND_HALF_UP, Decimal


def split_bill(total: Decimal, people: int, tip: Decimal = Decimal("0")) -> list[Decimal]:
    """What each pays, in cents; the first pay what does not divide."""
    if people < 1:
        raise ValueError("somebody has to pay")
    if total < 0 or tip < 0:
        raise ValueError("amounts are not negative")
    cents = int(((total * (1 + tip / 100)) * 100).quantize(Decimal("1"), rounding=ROUND_HALF_UP))
    share, rest = divmod(cents, people)
    return [Decimal(share + (1 if i < rest else 0)) / 100 for i in range(people)]
