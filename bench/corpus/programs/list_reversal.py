"""Turns a part of a linked list round."""


class Link:
    """A link of a list."""

    def __init__(self, value, following=None):
        self.value = value
        self.following = following


def build(values):
    """A list of links."""
    head = None
    for value in reversed(values):
        head = Link(value, head)
    return head


def reverse_first(head, count):
    """The list with its first links in reverse order."""
    previous = None
    current = head
    while current is not None and count > 0:
        following = current.following
        current.following = previous
        previous = current
        current = following
        count -= 1
    if head is not None:
        head.following = current
    return previous


def list_reversal(values, count):
    """As a plain list."""
    link = reverse_first(build(values), count) if count > 0 else build(values)
    result = []
    while link is not None:
        result.append(link.value)
        link = link.following
    return result
