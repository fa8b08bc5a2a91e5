"""Names and distances of colours (sRGB, eight bits a channel)."""

from __future__ import annotations

import math

Colour = tuple[int, int, int]
Lab = tuple[float, float, float]

NAMES: dict[str, Colour] = {
    "black": (0, 0, 0),
    "dark grey": (64, 64, 64),
    "grey": (128, 128, 128),
    "light grey": (192, 192, 192),
    "white": (255, 255, 255),
    "red": (230, 25, 30),
    "dark red": (128, 0, 0),
    "pink": (255, 170, 190),
    "orange": (255, 140, 0),
    "brown": (125, 75, 30),
    "beige": (235, 220, 180),
    "yellow": (255, 230, 0),
    "olive": (128, 128, 0),
    "light green": (150, 230, 150),
    "green": (0, 170, 60),
    "dark green": (0, 90, 30),
    "turquoise": (64, 224, 208),
    "cyan": (0, 255, 255),
    "teal": (0, 128, 128),
    "light blue": (150, 200, 245),
    "blue": (20, 80, 230),
    "dark blue": (0, 45, 110),
    "navy": (0, 0, 128),
    "purple": (128, 0, 128),
    "magenta": (255, 0, 255),
}


def linear(channel: int) -> float:
    """A channel of sRGB, 0 to 255, as light, 0 to 1 (IEC 61966-2-1)."""
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour: Colour) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    red, green, blue = map(linear, colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: Colour, second: Colour) -> float:
    """Contrast ratio, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: Colour) -> Lab:
    """CIELAB under D65."""
    red, green, blue = map(linear, colour)
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    a, b, c = (v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z))
    return 116 * b - 16, 500 * (a - b), 200 * (b - c)


def distance(first: Lab, second: Lab) -> float:
    """How different two colours look (CIE 1976); about 2.3 can just be told apart."""
    return math.dist(first, second)


_NAMED = {name: lab(colour) for name, colour in NAMES.items()}


def name(colour: Colour) -> str:
    """The nearest plain name."""
    own = lab(colour)
    return min(_NAMED, key=lambda name: distance(own, _NAMED[name]))
