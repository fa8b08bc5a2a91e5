"""Shortest ways."""

import heapq


def distances(graph, start):
    """The length of the shortest way from a node to each that can be reached."""
    if start not in graph:
        raise KeyError(start)
    known = {}
    waiting = [(0, start)]
    while waiting:
        length, node = heapq.heappop(waiting)
        if node in known:
            continue
        known[node] = length
        for neighbour, weight in graph.get(node, {}).items():
            if weight < 0:
                raise ValueError("negative weight")
            if neighbour not in known:
                heapq.heappush(waiting, (length + weight, neighbour))
    return known
