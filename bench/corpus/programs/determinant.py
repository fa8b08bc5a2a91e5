"""Determinants by cofactors."""


def determinant(matrix):
    """Of a square matrix; 1 for the empty one."""
    if not matrix:
        return 1
    total = 0
    sign = 1
    for column in range(len(matrix)):
        minor = []
        for row in matrix[1:]:
            minor.append(row[:column] + row[column + 1 :])
        total += sign * matrix[0][column] * determinant(minor)
        sign = -sign
    return total
