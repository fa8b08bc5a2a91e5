"""Titles as parts of addresses."""


def slug(title, limit=20):
    """A title in lower case with hyphens, cut at a word: slug("Hello, World!") -> "hello-world"."""
    words = []
    word = ""
    for char in title.lower():
        if char.isalnum():
            word += char
        elif word:
            words.append(word)
            word = ""
    if word:
        words.append(word)
    result = ""
    for word in words:
        longer = f"{result}-{word}" if result else word
        if len(longer) > limit:
            break
        result = longer
    return result
