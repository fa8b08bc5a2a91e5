"""Windows that slide over items."""

from collections.abc import Iterable, Iterator


def windows(items: Iterable[int], size: int, step: int = 1) -> Iterator[list[int]]:
    """Lists of neighbours."""
    if size < 1 or step < 1:
        raise ValueError("size and step are at least 1")
    held: list[int] = []
    skip = 0
    for item in items:
        if skip:
            skip -= 1
            continue
        held.append(item)
        if len(held) == size:
            yield list(held)
            skip = max(step - size, 0)
            held = held[step:]
