"""Charts as SVG: no script, no colours of their own, told in words for who cannot see them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
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


def _thinned(values: Numbers) -> list[int]:
    """Indices to draw: all, or the least and the largest of each bucket, so that no extreme is lost."""
    count = len(values)
    if count <= _MAX_POINTS:
        return list(range(count))
    kept = {0, count - 1}
    bounds = np.linspace(0, count, _MAX_POINTS // 2 + 1).astype(int)
    for a, b in pairwise(bounds):
        kept |= {int(a + np.argmin(values[a:b])), int(a + np.argmax(values[a:b]))}
    return sorted(kept)


def _line(points: Sequence[tuple[float, float]], style: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="currentColor" {style}/>'


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
) -> Chart:
    mark = hashlib.sha256(f"{title}\0{description}".encode()).hexdigest()[:10]
    bottom = _HEIGHT - _BOTTOM
    frame = [
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" '
        'stroke="currentColor" opacity="0.6"/>'
    ]
    for tick in x.ticks()[:12]:
        at = x.at(tick)
        frame.append(f'<path d="M{at:.1f} {bottom}v5" stroke="currentColor" opacity="0.6"/>')
        frame.append(_text(at, bottom + 18, moment(tick)[:10] if dated else number(tick), "middle"))
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
    clean = "".join(c if c.isprintable() else " " for c in name)
    return clean if len(clean) <= _MAX_LABEL else clean[: _MAX_LABEL - 1] + "…"
