"""Counting out."""


def josephus(people, step):
    """The order in which people leave the circle when each step-th one does."""
    circle = list(range(1, people + 1))
    order = []
    position = 0
    while circle:
        position = (position + step - 1) % len(circle)
        order.append(circle.pop(position))
    return order
