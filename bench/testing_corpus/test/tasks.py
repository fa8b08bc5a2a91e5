"""Things to do, the most urgent first."""

from typing import Optional


class Tasks:
    def __init__(self, limit: Optional[int] = None):
        self.limit = limit
        self.waiting = []
        self.done = 0

    def add(self, name: str, urgency: int = 0) -> int:
        if self.limit is not None and len(self.waiting) >= self.limit:
            raise OverflowError("too many tasks")
        if any(other == name for other, _ in self.waiting):
            raise ValueError(f"{name} waits already")
        position = 0
        while position < len(self.waiting) and self.waiting[position][1] >= urgency:
            position += 1
        self.waiting.insert(position, (name, urgency))
        return position

    def next(self) -> Optional[str]:
        if not self.waiting:
            return None
        self.done += 1
        return self.waiting.pop(0)[0]

    def cancel(self, name: str) -> bool:
        for index, (other, _) in enumerate(self.waiting):
            if other == name:
                del self.waiting[index]
                return True
        return False
