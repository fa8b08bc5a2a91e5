"""Prime factors with their powers."""


def prime_powers(number):
    """Pairs of prime and power, in order."""
    powers = []
    divisor = 2
    while divisor * divisor <= number:
        power = 0
        while number % divisor == 0:
            number //= divisor
            power += 1
        if power > 0:
            powers.append((divisor, power))
        divisor += 1
    if number > 1:
        powers.append((number, 1))
    return powers
