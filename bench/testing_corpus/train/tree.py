"""A tree of numbers in order."""


class Node:
    def __init__(self, value, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right


def insert(root, value):
    """The tree with the value in it."""
    if root is None:
        return Node(value)
    if value < root.value:
        root.left = insert(root.left, value)
    elif value > root.value:
        root.right = insert(root.right, value)
    return root


def in_order(root):
    """Values from the smallest."""
    return in_order(root.left) + [root.value] + in_order(root.right) if root else []


def height(root):
    """Levels of the tree."""
    return 0 if root is None else 1 + max(height(root.left), height(root.right))
