"""Powers by repeated squaring."""


def power_mod(base, exponent, modulus):
    """base ** exponent % modulus, for an exponent of at least 0."""
    result = 1 % modulus
    base = base % modulus
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent //= 2
    return result
