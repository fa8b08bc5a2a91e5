"""Counts islands in a grid."""


def island_count(grid):
    """Groups of cells with 1 that touch by a side."""
    seen = set()
    count = 0
    for row in range(len(grid)):
        for column in range(len(grid[row])):
            if grid[row][column] != 1 or (row, column) in seen:
                continue
            count += 1
            waiting = [(row, column)]
            while waiting:
                r, c = waiting.pop()
                if (r, c) in seen:
                    continue
                seen.add((r, c))
                for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    nr, nc = r + dr, c + dc
                    if 0 <= nr < len(grid) and 0 <= nc < len(grid[nr]) and grid[nr][nc] == 1:
                        waiting.append((nr, nc))
    return count
