"""Words of the same letters."""


def anagrams(words):
    """Groups of at least two words with the same letters, in order of their first word."""
    groups = {}
    for word in words:
        key = "".join(sorted(word.lower()))
        groups.setdefault(key, [])
        if word not in groups[key]:
            groups[key].append(word)
    return [group for group in groups.values() if len(group) > 1]
