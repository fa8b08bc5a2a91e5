"""Cheapest ways in a graph, by Dijkstra's method."""

import heapq


def shortest_costs(graph, source):
    """Cost to each node that can be reached. graph: node to {neighbour: cost}."""
    costs = {source: 0}
    heap = [(0, source)]
    done = set()
    while heap:
        cost, node = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        for neighbour, weight in graph.get(node, {}).items():
            candidate = cost + weight
            if neighbour not in costs or candidate < costs[neighbour]:
                costs[neighbour] = candidate
                heapq.heappush(heap, (candidate, neighbour))
    return costs
