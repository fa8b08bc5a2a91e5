"""The game of life."""


def life_step(cells):
    """The living cells of the next generation, sorted. cells: list of (x, y)."""
    alive = set(cells)
    counts = {}
    for x, y in alive:
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if dx == 0 and dy == 0:
                    continue
                neighbour = (x + dx, y + dy)
                counts[neighbour] = counts.get(neighbour, 0) + 1
    following = []
    for cell, count in counts.items():
        if count == 3 or (count == 2 and cell in alive):
            following.append(cell)
    return sorted(following)
