"""Matrices as lists of rows."""


def transpose(rows):
    """Columns as rows."""
    if any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("rows differ in length")
    return [list(column) for column in zip(*rows)]


def spiral(grid):
    """The cells from outside to inside, clockwise."""
    result = []
    top, left = 0, 0
    bottom, right = len(grid) - 1, len(grid[0]) - 1 if grid else -1
    while top <= bottom and left <= right:
        for column in range(left, right + 1):
            result.append(grid[top][column])
        for row in range(top + 1, bottom + 1):
            result.append(grid[row][right])
        if top < bottom and left < right:
            for column in range(right - 1, left - 1, -1):
                result.append(grid[bottom][column])
            for row in range(bottom - 1, top, -1):
                result.append(grid[row][left])
        top, left, bottom, right = top + 1, left + 1, bottom - 1, right - 1
    return result
