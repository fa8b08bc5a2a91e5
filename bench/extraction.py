"""How much of real files the extractor finds: the share of texts that must be found, per format.

    python -m bench.extraction FOLDER

FOLDER holds `files/`, `manifest.jsonl` (a line {"file"} for each) and `needles.jsonl` (lines {"file",
"needle"}: a text that must be found). Every file goes through the product's own door, one at a time, each in
its own confined child. A needle is found when its letters and digits stand in the text in that order, with
nothing but space and marks between them. Peak memory is the largest resident set of all children so far, as
the kernel counts it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import time
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from services.vector.extraction.errors import ExtractionError
from services.vector.extraction.extractor import Extractor
from services.vector.extraction.model import Limits
from services.vector.extraction.recognition import Recogniser

_OTHER = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Sum:
    """What came of the files of one format."""

    files: int = 0
    read: int = 0
    needles: int = 0
    found: int = 0
    seconds: float = 0.0
    refused: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        share = f"{self.found}/{self.needles}" if self.needles else "-"
        return f"{name:8} {self.read:3}/{self.files:<3} read  {share:>8} texts found  {self.seconds:7.2f} s"


def plain(text: str) -> str:
    """Its letters and digits: how readers write spaces, marks, hyphens and ligatures does not count."""
    return _OTHER.sub("", unicodedata.normalize("NFKC", text)).casefold()


async def measure(folder: Path) -> dict[str, Sum]:
    """The sums by extension."""
    needles: dict[str, list[str]] = defaultdict(list)
    for line in (folder / "needles.jsonl").read_text().splitlines():
        entry = json.loads(line)
        needles[entry["file"]].append(entry["needle"])
    extractor = Extractor(recogniser=Recogniser.installed())
    sums: dict[str, Sum] = defaultdict(Sum)
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        name = json.loads(line)["file"]
        one = sums[name.rpartition(".")[2]]
        one.files += 1
        one.needles += len(needles[name])
        began = time.monotonic()
        try:
            got = await extractor.extract(folder / "files" / name, name, "", Limits(), deadline=None)
        except ExtractionError as error:
            one.refused.append(f"{name}: {error.reason}: {error.message}")
        else:
            text = plain(got.text)
            missing = [needle for needle in needles[name] if plain(needle) not in text]
            one.read += 1
            one.found += len(needles[name]) - len(missing)
            one.refused += [f"{name}: not found: {needle}" for needle in missing]
        one.seconds += time.monotonic() - began
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    sums = asyncio.run(measure(parser.parse_args().folder))
    total = Sum()
    for name, one in sorted(sums.items()):
        print(one.line(name))
        for why in one.refused:
            print(f"         {why[:160]}")
        for key in ("files", "read", "needles", "found", "seconds"):
            setattr(total, key, getattr(total, key) + getattr(one, key))
    print(total.line("all"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak resident memory of a child: {peak / 1024:.0f} MB")


if __name__ == "__main__":
    main()
