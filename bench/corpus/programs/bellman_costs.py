"""Cheapest ways where costs may be negative."""


def bellman_costs(size, edges, source):
    """Cost to each of the nodes 0 to size - 1, None without a way; None for all with a negative circle."""
    costs = [None] * size
    costs[source] = 0
    for _ in range(size - 1):
        for start, end, weight in edges:
            if costs[start] is None:
                continue
            candidate = costs[start] + weight
            if costs[end] is None or candidate < costs[end]:
                costs[end] = candidate
    for start, end, weight in edges:
        if costs[start] is not None and costs[start] + weight < costs[end]:
            return None
    return costs
