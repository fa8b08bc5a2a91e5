"""Queens that do not threaten each other."""


def queen_count(size):
    """Ways to place as many queens as the board has rows."""

    def place(row, columns, rising, falling):
        if row == size:
            return 1
        count = 0
        for column in range(size):
            if column in columns or row + column in rising or row - column in falling:
                continue
            count += place(row + 1, columns | {column}, rising | {row + column}, falling | {row - column})
        return count

    return place(0, frozenset(), frozenset(), frozenset())
