"""A game on a grid."""


def step(grid):
    """The next generation of cells that are 0 or 1."""
    rows = len(grid)
    columns = len(grid[0]) if rows else 0
    new = [[0] * columns for _ in range(rows)]
    for r in range(rows):
        for c in range(columns):
            around = 0
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    if (dr or dc) and 0 <= r + dr < rows and 0 <= c + dc < columns:
                        around += grid[r + dr][c + dc]
            if around == 3 or (grid[r][c] and around == 2):
                new[r][c] = 1
    return new
