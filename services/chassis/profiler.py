"""Where a process spends its time: the stacks of all its threads, looked at again and again.

A sampler and not a tracer: it costs nothing while nobody asks, sees every thread,
those of executors and of libraries too, and never a value, only names of code.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType

MAX_SECONDS = 30.0
_INTERVAL_SECONDS = 0.01
# Looking takes at most this share of the time, however many threads there are.
_SHARE = 0.1
_MAX_STACKS = 20_000
_MAX_DEPTH = 128
_REST = "(further stacks)"


class ProfilerBusyError(Exception):
    """A profile is being made; there is one at a time."""


class Profiler:
    """Makes one profile at a time of the process that it is in. Its methods may be called from any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._one = threading.Lock()

    def profile(self, seconds: float) -> str:
        """Looks for `seconds`, at most MAX_SECONDS; blocks for that time.

        Returns one line a stack, "thread;outermost;…;innermost count", the most frequent first: what
        flame-graph tools read. Raises ProfilerBusyError.
        """
        if not self._one.acquire(blocking=False):
            raise ProfilerBusyError("a profile of this process is being made")
        try:
            return _folded(self._sampled(min(seconds, MAX_SECONDS)))
        finally:
            self._one.release()

    def _sampled(self, seconds: float) -> Counter[str]:
        stacks: Counter[str] = Counter()
        names: dict[CodeType, str] = {}
        own = threading.get_ident()
        end = self._clock() + seconds
        while True:
            began = self._clock()
            threads = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    stack = _stack(threads.get(ident, "unknown"), frame, names)
                    stacks[stack if stack in stacks or len(stacks) < _MAX_STACKS else _REST] += 1
            now = self._clock()
            if now >= end:
                return stacks
            self._sleep(min(end - now, max(_INTERVAL_SECONDS, (now - began) / _SHARE)))


def _stack(thread: str, frame: FrameType | None, names: dict[CodeType, str]) -> str:
    inner_first: list[str] = []
    while frame is not None and len(inner_first) < _MAX_DEPTH:
        code = frame.f_code
        name = names.get(code)
        if name is None:
            name = names[code] = _clean(f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}")
        inner_first.append(name)
        frame = frame.f_back
    return ";".join((_clean(thread), *reversed(inner_first)))


def _clean(name: str) -> str:
    """Without the two characters that the format needs."""
    return name.replace(";", ",").replace(" ", "_").replace("\n", "_")


def _folded(stacks: Counter[str]) -> str:
    return "".join(f"{stack} {count}\n" for stack, count in stacks.most_common())
