"""A cache that forgets what was not used for longest."""


class Cache:
    """Keeps so many entries."""

    def __init__(self, size):
        self.size = size
        self.entries = {}

    def get(self, key):
        """The value, None when it is not kept."""
        if key not in self.entries:
            return None
        value = self.entries.pop(key)
        self.entries[key] = value
        return value

    def put(self, key, value):
        """Keeps a value."""
        if key in self.entries:
            self.entries.pop(key)
        elif len(self.entries) >= self.size:
            oldest = next(iter(self.entries))
            del self.entries[oldest]
        self.entries[key] = value


def recent_cache(size, steps):
    """What each step gives: a pair is put, a key is got."""
    cache = Cache(size)
    given = []
    for step in steps:
        if isinstance(step, tuple):
            cache.put(step[0], step[1])
        else:
            given.append(cache.get(step))
    return given
