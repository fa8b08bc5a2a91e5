"""A binary search tree."""


class Node:
    """A node with two branches."""

    def __init__(self, value):
        self.value = value
        self.left = None
        self.right = None


def insert(root, value):
    """The tree with one more value; a value that is there stays once."""
    if root is None:
        return Node(value)
    if value < root.value:
        root.left = insert(root.left, value)
    elif value > root.value:
        root.right = insert(root.right, value)
    return root


def depth(root):
    """Nodes on the longest way down."""
    if root is None:
        return 0
    return 1 + max(depth(root.left), depth(root.right))


def walk(root):
    """Values in order."""
    if root is not None:
        yield from walk(root.left)
        yield root.value
        yield from walk(root.right)


def tree_paths(values):
    """Sorted values without doubles, and the depth of the tree that they make."""
    root = None
    for value in values:
        root = insert(root, value)
    return (list(walk(root)), depth(root))
