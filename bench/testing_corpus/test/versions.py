"""Versions of programs."""


class Version:
    """A version such as 1.20.3-beta; one without a word is newer than one with."""

    def __init__(self, text):
        number, _, word = text.partition("-")
        parts = number.split(".")
        if not 1 <= len(parts) <= 3 or not all(part.isdigit() for part in parts):
            raise ValueError(f"not a version: {text}")
        self.numbers = tuple(int(part) for part in parts) + (0,) * (3 - len(parts))
        self.word = word

    def _key(self):
        return self.numbers, self.word == "", self.word

    def __eq__(self, other):
        return isinstance(other, Version) and self._key() == other._key()

    def __lt__(self, other):
        return self._key() < other._key()

    def bump(self, part):
        major, minor, patch = self.numbers
        if part == "major":
            return Version(f"{major + 1}.0.0")
        if part == "minor":
            return Version(f"{major}.{minor + 1}.0")
        if part == "patch":
            return Version(f"{major}.{minor}.{patch + 1}")
        raise ValueError(part)

    def __str__(self):
        text = ".".join(map(str, self.numbers))
        return f"{text}-{self.word}" if self.word else text
