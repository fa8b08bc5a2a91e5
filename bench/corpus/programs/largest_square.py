"""The largest square of ones."""


def largest_square(grid):
    """The length of its side."""
    if not grid:
        return 0
    width = len(grid[0])
    above = [0] * (width + 1)
    side = 0
    for row in grid:
        current = [0] * (width + 1)
        for column in range(width):
            if row[column] == 1:
                current[column + 1] = 1 + min(above[column], above[column + 1], current[column])
                side = max(side, current[column + 1])
        above = current
    return side
