"""Trying again."""


def attempt(action, times=3, accept=(ValueError,)):
    """What the action gives, tried several times; the last error when none succeeds."""
    if times < 1:
        raise ValueError("at least one try")
    errors = []
    for _ in range(times):
        try:
            return action(), len(errors)
        except accept as error:
            errors.append(error)
    raise RuntimeError(f"{len(errors)} tries failed") from errors[-1]


def composed(*functions):
    """A function that applies the others, the last first."""

    def apply(value):
        for function in reversed(functions):
            value = function(value)
        return value

    return apply
