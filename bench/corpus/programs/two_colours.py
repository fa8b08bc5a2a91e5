"""Whether a graph can be coloured with two colours."""


def two_colours(graph):
    """graph: node to list of neighbours, both ways."""
    colours = {}
    for start in graph:
        if start in colours:
            continue
        colours[start] = 0
        stack = [start]
        while stack:
            node = stack.pop()
            for neighbour in graph[node]:
                if neighbour not in colours:
                    colours[neighbour] = 1 - colours[node]
                    stack.append(neighbour)
                elif colours[neighbour] == colours[node]:
                    return False
    return True
