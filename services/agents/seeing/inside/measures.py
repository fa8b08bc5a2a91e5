"""Measures of a picture that is decoded. Each names its source."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from . import colours
from .colours import Colour

# Rows at once: a picture of 50 million pixels would take gigabytes as numbers.
_STRIP = 256
_SWATCHES = 8
# What looks so alike is one colour of the palette.
_ALIKE = 12.0
# A colour with less of the picture is none of its main ones.
_LEAST_SHARE = 0.005
_PALETTE_SIDE = 512
_PALETTE_COLOURS = 64
_EXACT_COLOURS = 256
# Luma steps between the thousandth that is darkest and the one that is lightest.
_BLANK_STEPS = 8


def on_white(image: Image.Image) -> Image.Image:
    """The picture as RGB or L in eight bits; transparent pixels on white, more bits scaled down."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, dtype=np.uint32) * 255 // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        shown = image.convert("RGBA")
        white = Image.new("RGB", shown.size, "white")
        white.paste(shown, mask=shown.getchannel("A"))
        return white
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """Whole or broken numbers without a fixed white: from the least to the most."""
    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    return Image.fromarray(((values - low) / span * 255).astype(np.uint8))


def light(luma: Image.Image) -> dict[str, Any]:
    """Mean and RMS contrast (Peli, Contrast in complex images, 1990) and what is clipped, of a picture in
    luma (ITU-R BT.601).
    """
    counts = np.array(luma.histogram()[:256], dtype=np.float64)
    total = float(counts.sum())
    steps = np.arange(256, dtype=np.float64)
    mean = float((counts * steps).sum() / total)
    deviation = float(np.sqrt((counts * (steps - mean) ** 2).sum() / total))
    below = np.cumsum(counts) / total
    low, high = int(np.searchsorted(below, 0.001)), int(np.searchsorted(below, 0.999))
    return {
        "mean_luma": mean,
        "rms_contrast": deviation / 255,
        "dark_clipped_share": float(counts[:2].sum() / total),
        "light_clipped_share": float(counts[254:].sum() / total),
        "blank": high - low < _BLANK_STEPS,
    }


def sharpness(luma: Image.Image) -> float:
    """Variance of the Laplacian with four neighbours, of the pixels that have them (Pech-Pacheco and others,
    Diatom autofocusing in brightfield microscopy, 2000). 0 where none has.
    """
    width, height = luma.size
    count, total, squares = 0, 0.0, 0.0
    for top in range(0, height - 2, _STRIP):
        rows = luma.crop((0, top, width, min(height, top + _STRIP + 2)))
        values = np.asarray(rows, dtype=np.int32)
        inner = values[1:-1, 1:-1]
        if not inner.size:
            continue
        around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
        edges = around - 4 * inner
        count += edges.size
        total += float(edges.sum(dtype=np.int64))
        squares += float((edges.astype(np.int64) ** 2).sum())
    return squares / count - (total / count) ** 2 if count else 0.0


def palette(image: Image.Image) -> list[dict[str, Any]]:
    """The main colours of an RGB or L picture, most of it first, with their shares.

    Counted exactly where there are at most 256 colours; else after a median cut (Heckbert 1982) of pixels
    that stand evenly apart. Colours that look alike are one.
    """
    found = image.getcolors(_EXACT_COLOURS)
    if found is None:
        # Not their means: the ink of a thin line would be grey.
        small = image.convert("RGB")
        small.thumbnail((_PALETTE_SIDE, _PALETTE_SIDE), Image.Resampling.NEAREST)
        cut = small.quantize(_PALETTE_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        found = cut.convert("RGB").getcolors(_PALETTE_COLOURS) or []
    counts = sorted(((count, _rgb(colour)) for count, colour in found), reverse=True)
    total = sum(count for count, _ in counts)
    merged: list[tuple[Colour, colours.Lab, int]] = []
    for count, colour in counts:
        own = colours.lab(colour)
        for place, (kept, kept_lab, sum_) in enumerate(merged):
            if colours.distance(own, kept_lab) < _ALIKE:
                merged[place] = (kept, kept_lab, sum_ + count)
                break
        else:
            merged.append((colour, own, count))
    merged.sort(key=lambda one: -one[2])
    return [
        {"hex": "#{:02x}{:02x}{:02x}".format(*colour), "name": colours.name(colour), "share": count / total}
        for colour, _, count in merged[:_SWATCHES]
        if count / total >= _LEAST_SHARE
    ]


def _rgb(colour: Any) -> Colour:
    if isinstance(colour, tuple):
        return colour[0], colour[1], colour[2]
    return colour, colour, colour


def background_contrast(swatches: list[dict[str, Any]]) -> float | None:
    """WCAG contrast of the colour with half of the picture to the main one that stands out most from it.

    None where no colour has half of it, or there is no other.
    """
    if len(swatches) < 2 or swatches[0]["share"] < 0.5:
        return None
    first, *others = (_parsed(swatch["hex"]) for swatch in swatches)
    return max(colours.contrast(first, other) for other in others)


def _parsed(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def difference_hash(luma: Image.Image) -> str:
    """64 bits: whether each of 8 by 8 areas is darker than the one to its right (Krawetz, 2013)."""
    small = np.asarray(luma.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (small[:, :-1] < small[:, 1:]).flatten()
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its file says."""
    return ImageOps.exif_transpose(image)
