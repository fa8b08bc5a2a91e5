"""A traffic light."""


class Lamp:
    """Changes from red to green to yellow to red."""

    ORDER = ("red", "green", "yellow")

    def __init__(self, start="red"):
        if start not in self.ORDER:
            raise ValueError(f"no such colour: {start}")
        self.colour = start
        self.broken = False
        self.changes = 0

    def step(self):
        if self.broken:
            raise RuntimeError("the lamp is broken")
        self.colour = self.ORDER[(self.ORDER.index(self.colour) + 1) % 3]
        self.changes += 1
        if self.changes > 5:
            self.broken = True
        return self.colour

    def repair(self):
        if not self.broken:
            return False
        self.broken = False
        self.changes = 0
        self.colour = "red"
        return True
