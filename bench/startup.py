"""How long the whole house takes to start and to stop, and what it holds: `python -m bench.startup`.

The first start on a new data directory prepares the embedding model; the others
are what a person waits for every day. The time runs from the launcher's start to
the line with the address, or from Ctrl-C to the launcher's end. Memory is the
unique memory (USS) and the resident memory (RSS) of all processes after the start;
RSS counts shared pages once for each process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from tests.support.launched import House


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="starts after the first")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory) / "data")
        try:
            print(f"first start      {house.start():5.1f} s")
            house.stop()
            starts, stops = [], []
            for _ in range(arguments.rounds):
                starts.append(house.start())
                memory = [process.memory_full_info() for process in house.family()]
                stops.append(house.stop())
        finally:
            house.end()
    print(f"start            {_spread(starts)}")
    print(f"stop             {_spread(stops)}")
    print(f"unique memory    {sum(info.uss for info in memory) / 1e6:5.0f} MB")
    print(f"resident memory  {sum(info.rss for info in memory) / 1e6:5.0f} MB")


def _spread(seconds: list[float]) -> str:
    low, high = min(seconds), max(seconds)
    return f"{statistics.median(seconds):5.1f} s  ({low:.1f} to {high:.1f}, {len(seconds)} times)"


if __name__ == "__main__":
    main()
