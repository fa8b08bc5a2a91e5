"""The extended algorithm of Euclid."""


def bezout(a, b):
    """(g, x, y) with g the greatest common divisor and a * x + b * y == g."""
    if b == 0:
        return (a, 1, 0)
    divisor, x, y = bezout(b, a % b)
    return (divisor, y, x - (a // b) * y)
