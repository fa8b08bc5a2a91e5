"""Shortest way through a maze."""

from collections import deque


def grid_distance(grid, start, goal):
    """Steps from start to goal over cells that are "."; None when there is no way."""
    queue = deque([(start, 0)])
    visited = {start}
    while queue:
        (row, column), steps = queue.popleft()
        if (row, column) == goal:
            return steps
        for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cell = (row + dr, column + dc)
            if cell in visited:
                continue
            if 0 <= cell[0] < len(grid) and 0 <= cell[1] < len(grid[0]) and grid[cell[0]][cell[1]] == ".":
                visited.add(cell)
                queue.append((cell, steps + 1))
    return None
