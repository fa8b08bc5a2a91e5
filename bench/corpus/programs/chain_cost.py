"""The cheapest order of a chain of matrix products."""


def chain_cost(sizes):
    """Multiplications needed for matrices of sizes[0] x sizes[1], sizes[1] x sizes[2], and so on."""
    count = len(sizes) - 1
    if count < 1:
        return 0
    cost = [[0] * count for _ in range(count)]
    for span in range(2, count + 1):
        for left in range(count - span + 1):
            right = left + span - 1
            options = []
            for cut in range(left, right):
                product = sizes[left] * sizes[cut + 1] * sizes[right + 1]
                options.append(cost[left][cut] + cost[cut + 1][right] + product)
            cost[left][right] = min(options)
    return cost[0][count - 1]
