"""Measures against computation in another way."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from services.agents.seeing.inside import colours, measures
from tests.support.pictures import blurred, page, photo, stripes


def luma_of(image: Image.Image) -> np.ndarray:
    """BT.601, rounded as Pillow says that it does: L = R * 299/1000 + G * 587/1000 + B * 114/1000."""
    return np.asarray(image.convert("RGB"), dtype=np.float64) @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("seed", range(4))
def test_lightness_and_contrast_agree_with_numpy_over_all_pixels(seed: int) -> None:
    image = photo(seed=seed)
    told = measures.light(image.convert("L"))
    luma = luma_of(image)
    assert told["mean_luma"] == pytest.approx(luma.mean(), abs=0.51)
    assert told["rms_contrast"] == pytest.approx(luma.std() / 255, abs=0.002)
    assert not told["blank"]


def test_half_black_half_white_has_the_largest_contrast() -> None:
    told = measures.light(stripes(("black", 50), ("white", 50)).convert("L"))
    assert told["rms_contrast"] == pytest.approx(0.5)
    assert (told["dark_clipped_share"], told["light_clipped_share"]) == (0.5, 0.5)


@pytest.mark.parametrize("size", [(3, 3), (320, 240), (97, 601)])
def test_sharpness_agrees_with_the_sum_over_neighbours(size: tuple[int, int]) -> None:
    luma = photo(*size).convert("L")
    values = np.asarray(luma, dtype=np.float64)
    edges = [
        values[y - 1, x] + values[y + 1, x] + values[y, x - 1] + values[y, x + 1] - 4 * values[y, x]
        for y in range(1, values.shape[0] - 1)
        for x in range(1, values.shape[1] - 1)
    ]
    assert measures.sharpness(luma) == pytest.approx(np.var(edges), rel=1e-9)


def test_the_more_blurred_the_less_sharp() -> None:
    sharp = photo().convert("L")
    order = [measures.sharpness(blurred(sharp, radius)) for radius in (0, 0.5, 1, 2, 4)]
    assert order == sorted(order, reverse=True)
    assert order[0] > 10 * order[-1]
    assert measures.sharpness(Image.new("L", (2, 2))) == 0


def test_a_known_palette_is_found_with_its_shares() -> None:
    told = measures.palette(stripes(("#e61919", 50), ("#000080", 30), ("white", 15), ("#ffe600", 5)))
    assert [(s["hex"], s["name"], s["share"]) for s in told] == [
        ("#e61919", "red", 0.5),
        ("#000080", "navy", 0.3),
        ("#ffffff", "white", 0.15),
        ("#ffe600", "yellow", 0.05),
    ]


def test_the_palette_of_many_colours_is_near_the_known_one() -> None:
    noise = np.random.default_rng(3).integers(-4, 5, (40, 200, 3))
    image = stripes(("#c83c28", 120), ("#2850c8", 80))
    many = Image.fromarray((np.asarray(image, dtype=np.int16) + noise).clip(0, 255).astype(np.uint8))
    assert many.getcolors(256) is None
    first, second = measures.palette(many)[:2]
    for swatch, colour, share in ((first, (200, 60, 40), 0.6), (second, (40, 80, 200), 0.4)):
        found = tuple(int(swatch["hex"][i : i + 2], 16) for i in (1, 3, 5))
        assert colours.distance(colours.lab(found), colours.lab(colour)) < 4
        assert swatch["share"] == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("ink", "paper", "ratio"),
    # As the WCAG's own definition gives them.
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("#ffffff", "#0000ff", 8.59)],
)
def test_print_on_paper_has_the_contrast_of_wcag(ink: str, paper: str, ratio: float) -> None:
    told = measures.palette(page("Elmsund harbour", ink=ink, paper=paper))
    assert measures.background_contrast(told) == pytest.approx(ratio, abs=0.01)


def test_a_photo_has_no_background() -> None:
    assert measures.background_contrast(measures.palette(photo())) is None


@pytest.mark.parametrize(("level", "blank"), [(0, True), (128, True), (255, True)])
def test_a_picture_of_one_colour_is_blank(level: int, blank: bool) -> None:
    assert measures.light(Image.new("L", (50, 50), level))["blank"] is blank


def test_a_little_noise_is_blank_and_a_line_of_print_is_not() -> None:
    noise = np.random.default_rng(1).integers(250, 254, (100, 100)).astype(np.uint8)
    assert measures.light(Image.fromarray(noise))["blank"]
    assert not measures.light(page("x").convert("L"))["blank"]


def test_the_hash_agrees_with_means_of_the_areas() -> None:
    luma = photo(9 * 20, 8 * 20).convert("L")
    areas = np.asarray(luma, dtype=np.float64).reshape(8, 20, 9, 20).mean(axis=(1, 3)).round()
    bits = (areas[:, :-1] < areas[:, 1:]).flatten()
    expected = sum(1 << (63 - i) for i, bit in enumerate(bits) if bit)
    differing = (int(measures.difference_hash(luma), 16) ^ expected).bit_count()
    # Areas that are equal but for rounding may go either way.
    assert differing <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_pictures_of_every_kind_are_measured_in_eight_bits(mode: str) -> None:
    grey = Image.linear_gradient("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode not in ("I", "F", "LA", "1") else grey.convert(mode)
    shown = measures.on_white(image)
    assert shown.mode in ("L", "RGB")
    assert np.asarray(shown.convert("L"), dtype=float).mean() == pytest.approx(127.5, abs=2)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert measures.on_white(clear).getpixel((1, 1)) == (255, 255, 255)
    assert measures.on_white(half).getpixel((1, 1)) == (127, 127, 127)
