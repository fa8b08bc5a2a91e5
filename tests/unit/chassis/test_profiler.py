"""Where a process spends its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.chassis.profiler import MAX_SECONDS, Profiler, ProfilerBusyError


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.naps += 1
        self.now += seconds


def dig(depth: int, stop: threading.Event) -> None:
    if depth:
        dig(depth - 1, stop)
    else:
        stop.wait()


@contextmanager
def digging(depth: int, name: str = "digger") -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=dig, args=(depth, stop), name=name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_every_look_sees_every_other_thread() -> None:
    time = Time()
    with digging(3):
        lines = Profiler(time, time.sleep).profile(0.5).splitlines()
    counted = [line for line in lines if line.startswith("digger;") and line.count("test_profiler:dig") == 4]
    assert sum(int(line.rpartition(" ")[2]) for line in counted) == pytest.approx(time.naps + 1, abs=1)
    assert not any("_sampled" in line for line in lines)


def test_a_profile_ends_at_its_longest() -> None:
    time = Time()
    Profiler(time, time.sleep).profile(1e9)
    assert time.now == pytest.approx(MAX_SECONDS)


def test_a_deep_stack_is_cut_at_its_outer_end_and_names_keep_the_form() -> None:
    time = Time()
    with digging(300, "a; b\n1"):
        lines = Profiler(time, time.sleep).profile(0.01).splitlines()
    (line,) = [line for line in lines if line.startswith("a,_b_1;")][:1]
    stack, _, count = line.rpartition(" ")
    assert count.isdecimal()
    assert len(stack.split(";")) == 129
    assert "Event.wait" in stack


def test_one_at_a_time() -> None:
    time = Time()
    refused: list[bool] = []

    def sleep(seconds: float) -> None:
        with pytest.raises(ProfilerBusyError):
            profiler.profile(0.01)
        refused.append(True)
        time.sleep(seconds)

    profiler = Profiler(time, sleep)
    profiler.profile(0.02)
    first = len(refused)
    assert first
    profiler.profile(0.02)
    assert len(refused) > first
