"""Marks of pupils."""


def grade(score, bonus=0.0, strict=False):
    """The letter of a score from 0 to 100."""
    if not 0 <= score <= 100:
        raise ValueError("score out of range")
    total = min(score + bonus, 100)
    if strict:
        total -= 5
    if total >= 90:
        return "A"
    if total >= 80:
        return "B"
    if total >= 65:
        return "C"
    return "D" if total >= 50 else "F"
