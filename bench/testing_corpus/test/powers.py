"""Fast powers and chains."""


def power_mod(base, exponent, modulus):
    """The remainder of a power."""
    if modulus <= 0:
        raise ValueError("modulus must be positive")
    if exponent < 0:
        raise ValueError("exponent must not be negative")
    result = 1 % modulus
    base %= modulus
    while exponent:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result


def collatz(n):
    """Yields the numbers of the chain down to 1."""
    if n < 1:
        raise ValueError("starts at 1")
    while n != 1:
        yield n
        n = n // 2 if n % 2 == 0 else 3 * n + 1
    yield 1
