"""Charts as SVG: no script, no colours of their own, told in words for who cannot see them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np

from services.agents.measuring.ranks import Numbers

MAX_BYTES = 60_000
_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 36, 48
_MAX_POINTS = 800
_MAX_MARKS = 50
_MAX_LABEL = 60
_MAX_DOTS = 3_500
# How wide a letter is, about.
_LETTER = 6.5
# What tells series apart where there are no colours; so many can be told.
_SHADES = (0.9, 0.6, 0.35, 0.75, 0.45, 0.2)
_DASHES = ("", "8 4", "2 3", "12 3 2 3", "4 4", "1 5")
MAX_SERIES = len(_SHADES)


@dataclass(frozen=True)
class Chart:
    """A drawing. svg: a whole document of at most 60,000 bytes, in the colour of the text around it."""

    title: str
    svg: str


@dataclass(frozen=True)
class _Axis:
    """Values from low to high over the pixels from start to end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.start + (here - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            step = max(1, (last - first) // 6)
            powers = [10.0**k for k in range(first, last + 1, step)]
            inside = [power for power in powers if self.low <= power <= self.high]
            return inside if len(inside) > 1 else [self.low, self.high]
        raw = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= raw * 0.999)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def time_series(
    name: str,
    unit: str,
    positions: Numbers,
    values: Numbers,
    *,
    dated: bool,
    level: Numbers | None = None,
    changes: Sequence[int] = (),
    anomalies: Sequence[int] = (),
) -> Chart:
    """Values over their positions; the level dashed, changes as upright lines, anomalies as rings."""
    title = f"{_short(name)} over {'time' if dated else 'their order'}"
    said = [
        f"{len(values)} values from {number(values.min())} to {number(values.max())} {unit}".strip(),
        f"{len(changes)} changes of the level",
        f"{len(anomalies)} anomalies",
    ]
    x = _axis(positions, _LEFT, _WIDTH - _RIGHT)
    y = _axis(values, _HEIGHT - _BOTTOM, _TOP)
    shown = _thinned(values)
    parts = [
        _line([(x.at(positions[i]), y.at(values[i])) for i in shown], 'stroke-width="1.2" opacity="0.75"')
    ]
    if level is not None:
        steps = [(x.at(positions[i]), y.at(level[i])) for i in _thinned(level)]
        parts.append(_line(steps, 'stroke-width="2" stroke-dasharray="6 3"'))
    for i in list(changes)[:_MAX_MARKS]:
        at = x.at(positions[i])
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="currentColor" '
            'stroke-width="1.5" stroke-dasharray="2 3"/>'
        )
    parts += [
        f'<circle cx="{x.at(positions[i]):.1f}" cy="{y.at(values[i]):.1f}" r="5" fill="none" '
        'stroke="currentColor" stroke-width="2"/>'
        for i in list(anomalies)[:_MAX_MARKS]
    ]
    return _chart(
        title,
        "; ".join(said),
        x,
        y,
        parts,
        x_label="" if dated else "row",
        y_label=_labelled(name, unit),
        dated=dated,
    )


def histogram(name: str, unit: str, values: Numbers) -> Chart:
    """How often values of each size come. Bins by Freedman and Diaconis (1981), 5 to 40."""
    low, high = np.quantile(values, [0.25, 0.75])
    width = 2 * (high - low) / len(values) ** (1 / 3)
    span = float(values.max() - values.min())
    bins = 10 if width <= 0 or span <= 0 else int(min(40, max(5, math.ceil(span / width))))
    counts, edges = np.histogram(values, bins)
    x = _axis(edges, _LEFT, _WIDTH - _RIGHT, room=0)
    y = _Axis(0.0, float(counts.max()) * 1.05, _HEIGHT - _BOTTOM, _TOP)
    bars = [
        f'<rect x="{x.at(a):.1f}" y="{y.at(c):.1f}" width="{max(0.5, x.at(b) - x.at(a) - 1):.1f}" '
        f'height="{y.at(0) - y.at(c):.1f}" fill="currentColor" opacity="0.6"/>'
        for a, b, c in zip(edges, edges[1:], counts, strict=False)
    ]
    half = f"{number(float(low))} to {number(float(high))} {unit}".strip()
    return _chart(
        f"How {_short(name)} is spread",
        f"{len(values)} values, half of them from {half}",
        x,
        y,
        bars,
        x_label=_labelled(name, unit),
        y_label="values",
    )


def growth_plot(
    what: str, unit: str, sizes: Numbers, costs: Numbers, *, fitted: Numbers | None, fit_name: str
) -> Chart:
    """Measured costs over sizes, both on logarithmic axes, and the fitted curve."""
    kept = costs > 0
    sizes, costs = sizes[kept], costs[kept]
    x = _axis(sizes, _LEFT, _WIDTH - _RIGHT, log=True)
    y = _axis(costs, _HEIGHT - _BOTTOM, _TOP, log=True)
    parts = [
        f'<circle cx="{x.at(n):.1f}" cy="{y.at(c):.1f}" r="4" fill="currentColor"/>'
        for n, c in zip(sizes, costs, strict=True)
    ]
    if fitted is not None:
        curve = [
            (x.at(n), min(_HEIGHT - _BOTTOM, max(_TOP, y.at(c))))
            for n, c in zip(sizes, fitted[kept], strict=True)
            if c > 0
        ]
        parts.append(_line(curve, 'stroke-width="1.5" stroke-dasharray="6 3"'))
    description = (
        f"Medians at {len(sizes)} sizes from {sizes.min():g} to {sizes.max():g}: "
        f"{number(float(costs[0]))} to {number(float(costs[-1]))} {unit}. "
        + (f"The dashed curve is {fit_name}." if fitted is not None else "No class of growth was fitted.")
    )
    return _chart(
        f"{_short(what)} over the size n",
        description,
        x,
        y,
        parts,
        x_label="n",
        y_label=_labelled(what, unit),
    )


def bars(title: str, labels: Sequence[str], values: Mapping[str, Numbers], unit: str = "") -> Chart:
    """Bars side by side for each label, from zero; at most 60 labels. values: by the series' name, one for
    each label; what is not finite has no bar.
    """
    labels = [_short(label) for label in labels]
    x = _Axis(0.0, float(len(labels)), _LEFT, _WIDTH - _RIGHT)
    y = _from_zero(values)
    slot = x.at(1) - x.at(0)
    width = slot * 0.8 / len(values)
    parts = [_level(y.at(0))]
    for rank, series in enumerate(values.values()):
        for place, value in enumerate(series):
            if math.isfinite(value):
                top, foot = sorted((y.at(value), y.at(0)))
                parts.append(
                    f'<rect x="{x.at(place) + slot * 0.1 + rank * width:.1f}" y="{top:.1f}" '
                    f'width="{max(0.5, width - 1):.1f}" height="{max(0.5, foot - top):.1f}" '
                    f'fill="currentColor" opacity="{_SHADES[rank]}"/>'
                )
    room = max(2, int(slot / _LETTER))
    ticks = [(x.at(place + 0.5), _cut(label, room)) for place, label in enumerate(labels)]
    described = "; ".join(f"{label}: {_told(values, place)}" for place, label in enumerate(labels))
    return _chart(
        _short(title),
        f"{described} {unit}".strip(),
        x,
        y,
        [*parts, *_legend(values, _swatch)],
        x_label="",
        y_label=_upright_label(values, unit),
        ticks=ticks,
    )


def curves(
    title: str, x_name: str, positions: Numbers, values: Mapping[str, Numbers], *, dated: bool, unit: str = ""
) -> Chart:
    """A line for each series over ascending positions; a value that is not finite is a gap."""
    x = _axis(positions, _LEFT, _WIDTH - _RIGHT)
    y = _axis(_finite(values), _HEIGHT - _BOTTOM, _TOP)
    parts = []
    for rank, series in enumerate(values.values()):
        kept = np.flatnonzero(np.isfinite(series))
        for run in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1):
            shown = [int(run[i]) for i in _thinned(series[run], _MAX_POINTS // len(values))]
            points = [(x.at(float(positions[i])), y.at(float(series[i]))) for i in shown]
            if len(points) == 1:
                parts.append(_dot(*points[0]))
            parts.append(_line(points, _stroke(rank)))
    return _chart(
        _short(title),
        _described(values, unit),
        x,
        y,
        [*parts, *_legend(values, lambda rank: f'<path d="M0 0h18" fill="none" {_stroke(rank)}/>')],
        x_label="" if dated else _short(x_name),
        y_label=_upright_label(values, unit),
        dated=dated,
    )


def points(
    title: str, x_name: str, positions: Numbers, values: Mapping[str, Numbers], unit: str = ""
) -> Chart:
    """A mark for each pair; at most 3,500 of them, evenly chosen. Values that are not finite have none."""
    x = _axis(positions, _LEFT, _WIDTH - _RIGHT)
    y = _axis(_finite(values), _HEIGHT - _BOTTOM, _TOP)
    count = sum(int(np.isfinite(series).sum()) for series in values.values())
    step = max(1, math.ceil(count / _MAX_DOTS))
    parts = []
    for rank, series in enumerate(values.values()):
        shown = np.flatnonzero(np.isfinite(series))[::step]
        path = "".join(f"M{x.at(float(positions[i])):.1f} {y.at(float(series[i])):.1f}h0" for i in shown)
        parts.append(f'<path d="{path}" fill="none" {_mark(rank)}/>')
    said = _described(values, unit) + (f"; every {step}th of {count} is shown" if step > 1 else "")
    return _chart(
        _short(title),
        said,
        x,
        y,
        [*parts, *_legend(values, lambda rank: f'<path d="M9 0h0" fill="none" {_mark(rank)}/>')],
        x_label=_short(x_name),
        y_label=_upright_label(values, unit),
    )


def _upright_label(values: Mapping[str, Numbers], unit: str) -> str:
    """One series stands for itself; of several the legend tells the names."""
    return _labelled(next(iter(values)), unit) if len(values) == 1 else unit


def _from_zero(values: Mapping[str, Numbers]) -> _Axis:
    told = _finite(values)
    low, high = min(0.0, float(told.min())), max(0.0, float(told.max()))
    room = (high - low) * 0.05 or 1.0
    return _Axis(
        low - (room if low < 0 else 0), high + (room if high > 0 or low == 0 else 0), _HEIGHT - _BOTTOM, _TOP
    )


def _finite(values: Mapping[str, Numbers]) -> Numbers:
    told: Numbers = np.concatenate(list(values.values()))
    return told[np.isfinite(told)]


def _described(values: Mapping[str, Numbers], unit: str) -> str:
    said = []
    for name, series in values.items():
        told = series[np.isfinite(series)]
        extent = f"{number(float(told.min()))} to {number(float(told.max()))}" if len(told) else "none"
        said.append(f"{_short(name)}: {len(told)} values, {extent} {unit}".rstrip())
    return "; ".join(said)


def _told(values: Mapping[str, Numbers], place: int) -> str:
    return ", ".join(
        (f"{_short(name)} " if len(values) > 1 else "")
        + (number(float(series[place])) if math.isfinite(series[place]) else "none")
        for name, series in values.items()
    )


def _legend(values: Mapping[str, Numbers], sign: Callable[[int], str]) -> list[str]:
    """The series' names with their signs, upper right; nothing where there is one series."""
    if len(values) == 1:
        return []
    names = [_cut(name, 64 // len(values)) for name in values]
    left = _WIDTH - _RIGHT - sum(34 + _LETTER * len(name) for name in names)
    parts = []
    for rank, name in enumerate(names):
        parts.append(f'<g transform="translate({left:.0f} 16)">{sign(rank)}</g>')
        parts.append(_text(left + 24, 20, name, "start"))
        left += 34 + _LETTER * len(name)
    return parts


def _swatch(rank: int) -> str:
    return f'<rect x="0" y="-6" width="18" height="12" fill="currentColor" opacity="{_SHADES[rank]}"/>'


def _stroke(rank: int) -> str:
    dashes = f' stroke-dasharray="{_DASHES[rank]}"' if _DASHES[rank] else ""
    return f'stroke="currentColor" stroke-width="1.6"{dashes}'


def _mark(rank: int) -> str:
    return f'stroke="currentColor" stroke-width="{5 + rank}" stroke-linecap="round" opacity="{_SHADES[rank]}"'


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="currentColor"/>'


def _level(y: float) -> str:
    return f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" opacity="0.6"/>'


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e7 else f"{value:.3e}"


def moment(seconds: float) -> str:
    """A moment in UTC, as short as it is exact."""
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return number(seconds)
    return when.strftime("%Y-%m-%d" if seconds % 86_400 == 0 else "%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _axis(values: Numbers, start: float, end: float, *, log: bool = False, room: float = 0.04) -> _Axis:
    low, high = float(values.min()), float(values.max())
    if log:
        return _Axis(low / 1.15, high * 1.15, start, end, log=True)
    if low == high:
        low, high = low - max(1.0, abs(low) * 0.1), high + max(1.0, abs(high) * 0.1)
    return _Axis(low - room * (high - low), high + room * (high - low), start, end)


def _thinned(values: Numbers, limit: int = _MAX_POINTS) -> list[int]:
    """Indices to draw: all, or the least and the largest of each bucket, so that no extreme is lost."""
    count = len(values)
    if count <= limit:
        return list(range(count))
    kept = {0, count - 1}
    bounds = np.linspace(0, count, limit // 2 + 1).astype(int)
    for a, b in pairwise(bounds):
        kept |= {int(a + np.argmin(values[a:b])), int(a + np.argmax(values[a:b]))}
    return sorted(kept)


def _line(points: Sequence[tuple[float, float]], style: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    colour = "" if "stroke=" in style else ' stroke="currentColor"'
    return f'<polyline points="{path}" fill="none"{colour} {style}/>'


def _chart(
    title: str,
    description: str,
    x: _Axis,
    y: _Axis,
    parts: Sequence[str],
    *,
    x_label: str,
    y_label: str,
    dated: bool = False,
    ticks: Sequence[tuple[float, str]] | None = None,
) -> Chart:
    """ticks: words along the horizontal axis, each with its place; else its numbers."""
    mark = hashlib.sha256(f"{title}\0{description}".encode()).hexdigest()[:10]
    bottom = _HEIGHT - _BOTTOM
    frame = [
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" '
        'stroke="currentColor" opacity="0.6"/>'
    ]
    if ticks is None:
        ticks = [(x.at(tick), moment(tick)[:10] if dated else number(tick)) for tick in x.ticks()[:12]]
    for at, word in ticks:
        frame.append(f'<path d="M{at:.1f} {bottom}v5" stroke="currentColor" opacity="0.6"/>')
        frame.append(_text(at, bottom + 18, word, "middle"))
    for tick in y.ticks()[:12]:
        at = y.at(tick)
        frame.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" opacity="0.15"/>')
        frame.append(_text(_LEFT - 8, at + 4, number(tick), "end"))
    frame.append(_text(_WIDTH - _RIGHT, _HEIGHT - 8, x_label, "end"))
    frame.append(_text(_LEFT - 8, _TOP - 14, y_label, "start"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="t{mark} d{mark}" font-family="sans-serif" font-size="12" color="inherit">'
        f'<title id="t{mark}">{escape(title)}</title><desc id="d{mark}">{escape(description)}</desc>'
        f"{''.join(frame)}{''.join(parts)}</svg>"
    )
    if len(svg.encode()) > MAX_BYTES:
        raise ValueError(f"a chart of {len(svg.encode())} bytes; {MAX_BYTES} are allowed")
    return Chart(title, svg)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _labelled(name: str, unit: str) -> str:
    return f"{_short(name)} ({unit})" if unit else _short(name)


def _short(name: str) -> str:
    # Characters that XML does not allow would make the chart unreadable.
    return _cut("".join(c if c.isprintable() else " " for c in name), _MAX_LABEL)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
