"""Groups of things that belong together, by union and find."""


def group_count(size, pairs):
    """How many groups the numbers 0 to size - 1 make when each pair is one."""
    parent = list(range(size))

    def find(node):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    groups = size
    for first, second in pairs:
        a, b = find(first), find(second)
        if a != b:
            parent[a] = b
            groups -= 1
    return groups
