"""Rows of the triangle of Pascal."""


def binomials(rows):
    """The first rows of the triangle."""
    triangle = []
    for n in range(rows):
        row = [1]
        if triangle:
            above = triangle[-1]
            for k in range(1, n):
                row.append(above[k - 1] + above[k])
            row.append(1)
        triangle.append(row)
    return triangle
