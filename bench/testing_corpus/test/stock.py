"""Goods in store."""

from dataclasses import dataclass, field


@dataclass
class Item:
    name: str
    price: float
    quantity: int = 0


@dataclass
class Stock:
    """Items by name."""

    items: dict[str, Item] = field(default_factory=dict)

    def add(self, name: str, price: float, quantity: int = 1) -> Item:
        if price < 0 or quantity < 1:
            raise ValueError("bad price or quantity")
        item = self.items.get(name)
        if item is None:
            item = self.items[name] = Item(name, price)
        item.price = price
        item.quantity += quantity
        return item

    def take(self, name: str, quantity: int = 1) -> float:
        if name not in self.items:
            raise KeyError(name)
        item = self.items[name]
        if item.quantity < quantity:
            raise ValueError(f"only {item.quantity} of {name}")
        item.quantity -= quantity
        if item.quantity == 0:
            del self.items[name]
        return round(item.price * quantity, 2)

    def value(self) -> float:
        return sum(item.price * item.quantity for item in self.items.values())
