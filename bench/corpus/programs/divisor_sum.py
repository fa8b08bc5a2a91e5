"""Kinds of numbers by the sum of their divisors."""


def divisor_sum(number):
    """The sum of the divisors that are smaller than the number."""
    total = 0
    candidate = 1
    while candidate * candidate <= number:
        if number % candidate == 0:
            total += candidate
            partner = number // candidate
            if partner != candidate:
                total += partner
        candidate += 1
    return total - number


def kind(number):
    """deficient, perfect or abundant."""
    total = divisor_sum(number)
    if total == number:
        return "perfect"
    if total > number:
        return "abundant"
    return "deficient"
