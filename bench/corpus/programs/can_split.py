"""Whether some of the numbers add up to a target."""


def can_split(numbers, target):
    """Each number may be used once; numbers are not negative."""
    reachable = {0}
    for number in numbers:
        larger = set()
        for total in reachable:
            if total + number <= target:
                larger.add(total + number)
        reachable |= larger
    return target in reachable
