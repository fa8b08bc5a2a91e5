"""The most frequent words."""


def top_words(text, limit):
    """Words with their counts, most frequent first, the alphabet decides among equals."""
    counts = {}
    for part in text.lower().split():
        word = part.strip(".,!?")
        if not word:
            continue
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ranked[:limit]
