"""Prime numbers."""

from typing import Literal


def factors(n: int, form: Literal["list", "dict", "text"] = "list"):
    """The prime factors of a number from 2."""
    if n < 2:
        raise ValueError(f"{n} has no prime factors")
    found = []
    divisor = 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 1 if divisor == 2 else 2
    if n > 1:
        found.append(n)
    if form == "list":
        return found
    counts = {}
    for factor in found:
        counts[factor] = counts.get(factor, 0) + 1
    if form == "dict":
        return counts
    return " * ".join(f"{base}^{power}" if power > 1 else str(base) for base, power in counts.items())
