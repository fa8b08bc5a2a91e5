"""Counts words by their beginnings."""


class Trie:
    """Words as paths of letters."""

    def __init__(self):
        self.children = {}
        self.passing = 0
        self.ending = 0

    def add(self, word):
        """One more word."""
        node = self
        node.passing += 1
        for letter in word:
            if letter not in node.children:
                node.children[letter] = Trie()
            node = node.children[letter]
            node.passing += 1
        node.ending += 1

    def find(self, prefix):
        """The node of a beginning, None when no word has it."""
        node = self
        for letter in prefix:
            node = node.children.get(letter)
            if node is None:
                return None
        return node


def prefix_count(words, prefix):
    """How many words begin so, and how many are just that."""
    trie = Trie()
    for word in words:
        trie.add(word)
    node = trie.find(prefix)
    if node is None:
        return (0, 0)
    return (node.passing, node.ending)
