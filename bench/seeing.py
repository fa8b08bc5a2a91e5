"""How well text in pictures is read: python -m bench.seeing [--data FOLDER] [--words N].

Two tables, each with n, the words that stand there:

made: pages of print that are made here, so that every word is known, whole and spoilt in one way each. Word
accuracy is 1 - (words put in, left out or changed) / n, in the order of reading.

real: pages of the data set whose text is known from the PDF that they were printed from (its text layer,
read by pypdf). Found is the share of its words that were read, right the share of read words that stand
there, whatever the order: readers of columns and of PDF files differ in it. Words that were divided at the
end of a line count as two in both. Where the data set is missing there is no such table. How far small
pages are made larger was chosen on the made ones.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pypdf import PdfReader

from services.agents.ports import Sandboxed
from services.agents.seeing import looking, reading
from services.sandbox.sandbox import open_sandbox

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CORPUS = Path(__file__).parent / "corpus"
# Pictures of the data set, and the files that they were printed from.
PRINTED = {
    "layout-parser-paper-fast.jpg": "layout-parser-paper-fast.pdf",
    "layout-parser-paper-with-table.jpg": "layout-parser-paper-with-table.pdf",
}
# A4 at 200 dots an inch.
_WIDTH, _HEIGHT, _MARGIN = 1_654, 2_339, 120
_WORD = re.compile(r"\w+(?:['’]\w+)*")

Spoil = Callable[[Image.Image], Image.Image]


def words(text: str) -> list[str]:
    """The words of a text in small letters; ligatures are two letters."""
    plain = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff").replace("ﬃ", "ffi")
    return _WORD.findall(plain.lower())


def corpus(count: int) -> str:
    """So many words of the bench's own texts."""
    found: list[str] = []
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file():
            found += path.read_text("utf-8", "ignore").split()
        if len(found) >= count:
            break
    plain = (word for word in found if re.fullmatch(r"[A-Za-z]+[.,;:]?", word))
    return " ".join([word for word, _ in zip(plain, range(count), strict=False)])


def printed(text: str, size: int) -> Image.Image:
    """A page with the text in letters of that size in pixels."""
    font = ImageFont.load_default(size)
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) > _WIDTH - 2 * _MARGIN:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    page = Image.new("L", (_WIDTH, max(_HEIGHT, 2 * _MARGIN + int(1.5 * size) * len(lines))), 255)
    draw = ImageDraw.Draw(page)
    for row, one in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + int(1.5 * size) * row), one, fill=0, font=font)
    return page


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    """With noise that is the same each time."""
    noise = np.random.default_rng(1).normal(0, deviation, (image.height, image.width))
    return Image.fromarray((np.asarray(image, dtype=np.float64) + noise).clip(0, 255).astype(np.uint8))


def packed(image: Image.Image, quality: int) -> Image.Image:
    """Saved as JPEG and opened again."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).convert("L")


def faded(image: Image.Image) -> Image.Image:
    """Grey on grey: a WCAG contrast of about 2 to 1."""
    return image.point(lambda value: 140 + value * 60 // 255)


SPOILT: dict[str, Spoil] = {
    "whole": lambda image: image,
    "half the size": lambda image: image.resize(
        (image.width // 2, image.height // 2), Image.Resampling.LANCZOS
    ),
    "a third of the size": lambda image: image.resize(
        (image.width // 3, image.height // 3), Image.Resampling.LANCZOS
    ),
    "blurred, radius 2": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "noise, deviation 40": lambda image: noisy(image, 40),
    "JPEG, quality 15": lambda image: packed(image, 15),
    "grey on grey": faded,
    "white on black": lambda image: image.point(lambda value: 255 - value),
    "askew, 2 degrees": lambda image: image.rotate(2, Image.Resampling.BICUBIC, fillcolor=255),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
}


def distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Words put in, left out or changed between the two (Levenshtein 1966)."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@dataclass(frozen=True)
class Read:
    """What was read of a picture. seconds: of looking and reading."""

    words: list[str]
    seconds: float


async def read(sandbox: Sandboxed, data: bytes) -> Read:
    """Reads a file as the image agent does."""
    started = time.monotonic()
    seen = await looking.look(sandbox, data, looking.Wanted(page=True))
    if seen.page is None:
        raise SystemExit(f"the picture was not read: {seen.picture.reason}")
    found = await reading.read(sandbox, seen.page)
    if found.reason:
        raise SystemExit(found.reason)
    return Read(words("\n".join(line.text for line in found.lines)), time.monotonic() - started)


async def made(sandbox: Sandboxed, count: int) -> Iterator[str]:
    """The table of pages that are made here."""
    text = corpus(count)
    truth = words(text)
    lines = [f"{'made':24} {'n':>5}  accuracy  seconds"]
    page = printed(text, 32)
    for name, spoil in SPOILT.items():
        stream = io.BytesIO()
        spoil(page).save(stream, "PNG")
        told = await read(sandbox, stream.getvalue())
        accuracy = 1 - distance(truth, told.words) / len(truth)
        lines.append(f"{name:24} {len(truth):5} {accuracy:9.1%} {told.seconds:8.1f}")
    return iter(lines)


async def real(sandbox: Sandboxed, data: Path) -> Iterator[str]:
    """The table of the data set."""
    lines = [f"{'real':36} {'n':>5}   found   right  seconds"]
    for picture, source in PRINTED.items():
        told = await read(sandbox, (data / "images" / "files" / picture).read_bytes())
        got = Counter(told.words)
        pages = [words(page.extract_text()) for page in PdfReader(data / "docs" / "files" / source).pages]
        # The one that it was printed from.
        truth = Counter(max(pages, key=lambda page: (Counter(page) & got).total()))
        both = (truth & got).total()
        lines.append(
            f"{picture:36} {truth.total():5} {both / truth.total():7.1%} {both / max(1, got.total()):7.1%} "
            f"{told.seconds:8.1f}"
        )
    return iter(lines)


async def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--words", type=int, default=300)
    asked = parser.parse_args()
    sandbox = await open_sandbox()
    if sandbox.layer is None:
        raise SystemExit(sandbox.reason)
    print("\n".join(await made(sandbox, asked.words)))
    if (asked.data / "images").is_dir() and (asked.data / "docs").is_dir():
        print()
        print("\n".join(await real(sandbox, asked.data)))


if __name__ == "__main__":
    asyncio.run(main())
