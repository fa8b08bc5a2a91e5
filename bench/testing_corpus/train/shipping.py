"""What a parcel costs."""

from enum import Enum


class Zone(Enum):
    HOME = "home"
    EUROPE = "europe"
    WORLD = "world"


def postage(weight: float, zone: Zone, *, express: bool = False, insured: float | None = None) -> float:
    """The price in euros. Raises ValueError for a weight that cannot be."""
    if weight <= 0:
        raise ValueError("a parcel weighs something")
    if weight > 30:
        raise ValueError("too heavy")
    price = 4.5 if weight <= 2 else 8.0 if weight <= 10 else 16.5
    if zone is Zone.EUROPE:
        price *= 1.5
    elif zone is Zone.WORLD:
        price = price * 2 + 5
    if express:
        price += 7.5
    if insured is not None:
        if insured > 500:
            price += insured * 0.02
        else:
            price += 3
    return round(price, 2)
