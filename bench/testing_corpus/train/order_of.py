"""What has to be done first."""


def order_of(dependencies):
    """Names in an order in which each comes after what it needs. Raises ValueError for a circle."""
    done = []
    state = {}

    def visit(name, path):
        if state.get(name) == 2:
            return
        if state.get(name) == 1:
            raise ValueError("circle: " + " -> ".join([*path, name]))
        state[name] = 1
        for needed in dependencies.get(name, []):
            visit(needed, [*path, name])
        state[name] = 2
        done.append(name)

    for name in sorted(dependencies):
        visit(name, [])
    return done
