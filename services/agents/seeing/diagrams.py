"""Diagrams of boxes and arrows as SVG, in layers from above to below."""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn
from xml.sax.saxutils import escape

from meldrag.agents.v1 import results_pb2
from services.agents.measuring.charts import MAX_BYTES, Chart
from services.chassis.errors import InvalidArgumentError

MAX_NODES = 60
MAX_EDGES = 200
_MAX_ID = 60
_MAX_LABEL = 120
_MAX_TEXT = 20_000
_MAX_TITLE = 200

_BOX_WIDTH, _LETTERS, _LINE, _PADDING = 150, 20, 15, 12
_GAP_X, _GAP_Y, _MARGIN = 26, 56, 16
# Of a letter in the mean, and between an arrow and its label.
_LETTER_WIDTH, _ASIDE = 6.8, 8
# An arrow that passes a layer takes so much room there.
_PASSING_WIDTH = 12
_SWEEPS = 6
_ARROW = re.compile(
    r"^(?P<source>[^>\n]{1,80}?)\s*[-=]+>\s*(?P<target>[^:\n]{1,80}?)\s*(?::\s*(?P<label>.*))?$"
)
_BOX = re.compile(r"^(?P<id>[^:\n]{1,80}?)\s*:\s*(?P<label>.+)$")

Edge = tuple[str, str, str]


@dataclass(frozen=True)
class Graph:
    """Boxes by id with their labels, and arrows: source, target, label."""

    nodes: Mapping[str, str]
    edges: tuple[Edge, ...]


def graph(inputs: results_pb2.DiagramInputs) -> Graph:
    """What is asked for. Raises InvalidArgumentError (INPUTS_INVALID) that names what does not fit."""
    nodes: dict[str, str] = {}
    edges: list[Edge] = []
    for node in inputs.nodes:
        if node.id.strip() in nodes:
            _refuse("nodes", f"there are two boxes {node.id[:_MAX_ID]!r}")
        nodes[node.id.strip()] = node.label.strip()
    edges += [(edge.source.strip(), edge.target.strip(), edge.label.strip()) for edge in inputs.edges]
    if len(inputs.text) > _MAX_TEXT:
        _refuse("text", f"at most {_MAX_TEXT:,} characters")
    for number, line in enumerate(inputs.text.splitlines(), start=1):
        said = line.strip().rstrip(";")
        if not said or said.startswith("#"):
            continue
        if arrow := _ARROW.match(said):
            edges.append((arrow["source"], arrow["target"], (arrow["label"] or "").strip()))
        elif box := _BOX.match(said):
            nodes[box["id"]] = box["label"].strip()
        elif len(said) <= _MAX_ID and ">" not in said:
            nodes.setdefault(said, "")
        else:
            _refuse("text", f"line {number} is neither 'a -> b', 'a -> b: label' nor 'a: label'")
    for source, target, _ in edges:
        nodes.setdefault(source, "")
        nodes.setdefault(target, "")
    _check(nodes, edges)
    return Graph({name: label or name for name, label in nodes.items()}, tuple(dict.fromkeys(edges)))


def _check(nodes: Mapping[str, str], edges: Sequence[Edge]) -> None:
    if not nodes:
        _refuse("nodes", "there is nothing to draw")
    if len(nodes) > MAX_NODES or len(edges) > MAX_EDGES:
        _refuse(
            "nodes",
            f"{len(nodes)} boxes and {len(edges)} arrows; {MAX_NODES} and {MAX_EDGES} can be drawn",
        )
    for name, label in nodes.items():
        if not name or len(name) > _MAX_ID or len(label) > _MAX_LABEL:
            _refuse(
                "nodes", f"an id has 1 to {_MAX_ID} characters, a label at most {_MAX_LABEL}: {name[:40]!r}"
            )
    for source, target, label in edges:
        if len(label) > _MAX_LABEL:
            _refuse(
                "edges", f"a label has at most {_MAX_LABEL} characters: {source[:20]!r} to {target[:20]!r}"
            )


def draw(inputs: results_pb2.DiagramInputs) -> Chart:
    """The diagram. Raises InvalidArgumentError (INPUTS_INVALID) that names what does not fit."""
    made = graph(inputs)
    title = inputs.title.strip() or "Diagram"
    if len(title) > _MAX_TITLE:
        _refuse("title", f"at most {_MAX_TITLE} characters")
    svg = _svg(_clean(title), made, _layout(made))
    if len(svg.encode()) > MAX_BYTES:
        _refuse("edges", f"the drawing has {len(svg.encode()):,} bytes; {MAX_BYTES:,} are allowed: draw less")
    return Chart(_clean(title), svg)


# -- where everything stands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spot:
    """The place of a box or of an arrow that passes: its middle, and half its size."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class _Layout:
    """spots: by node, and by (edge, layer) where an arrow passes a layer. ways: of each edge, the keys of the
    spots that it goes through, from its source to its target. turned: edges that point upwards.
    """

    width: float
    height: float
    spots: Mapping[object, _Spot]
    ways: Mapping[int, tuple[object, ...]]
    turned: frozenset[int]


def _layout(made: Graph) -> _Layout:
    """Layers by the longest way (Sugiyama, Tagawa and Toda 1981), ordered by the mean of the neighbours."""
    turned = _turned(made)
    layer = _layers(made, turned)
    rows: list[list[object]] = [[] for _ in range(max(layer.values()) + 1)]
    for name in made.nodes:
        rows[layer[name]].append(name)
    ways: dict[int, tuple[object, ...]] = {}
    neighbours: dict[object, list[object]] = defaultdict(list)
    for index, (source, target, _) in enumerate(made.edges):
        if source == target:
            continue
        first, last = (target, source) if index in turned else (source, target)
        way: list[object] = [first]
        for between in range(layer[first] + 1, layer[last]):
            passing = (index, between)
            rows[between].append(passing)
            way.append(passing)
        way.append(last)
        for one, other in pairwise(way):
            neighbours[one].append(other)
            neighbours[other].append(one)
        ways[index] = tuple(reversed(way)) if index in turned else tuple(way)
    _order(rows, neighbours)
    width, height, spots = _places(made, rows)
    return _Layout(width, height, spots, ways, turned)


def _turned(made: Graph) -> frozenset[int]:
    """The arrows that lead back to where one came from; without them there is no circle."""
    out: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, (source, target, _) in enumerate(made.edges):
        out[source].append((index, target))
    state: dict[str, int] = {}
    back: set[int] = set()
    for start in made.nodes:
        if start in state:
            continue
        state[start] = 1
        stack = [(start, iter(out[start]))]
        while stack:
            name, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[name] = 2
                stack.pop()
            elif state.get(step[1]) == 1:
                back.add(step[0])
            elif step[1] not in state:
                state[step[1]] = 1
                stack.append((step[1], iter(out[step[1]])))
    return frozenset(back)


def _layers(made: Graph, turned: frozenset[int]) -> dict[str, int]:
    layer = dict.fromkeys(made.nodes, 0)
    for _ in made.nodes:
        moved = False
        for index, (source, target, _label) in enumerate(made.edges):
            first, last = (target, source) if index in turned else (source, target)
            if first != last and layer[last] <= layer[first]:
                layer[last], moved = layer[first] + 1, True
        if not moved:
            break
    return layer


def _order(rows: list[list[object]], neighbours: Mapping[object, Sequence[object]]) -> None:
    place = {key: float(rank) for row in rows for rank, key in enumerate(row)}
    level = {key: depth for depth, row in enumerate(rows) for key in row}
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for depth in range(len(rows)) if downwards else reversed(range(len(rows))):
            beside = depth - 1 if downwards else depth + 1

            def mean(key: object, beside: int = beside) -> float:
                found = [place[other] for other in neighbours.get(key, ()) if level[other] == beside]
                return sum(found) / len(found) if found else place[key]

            rows[depth].sort(key=mean)
            place.update({key: float(rank) for rank, key in enumerate(rows[depth])})


def _places(made: Graph, rows: Sequence[Sequence[object]]) -> tuple[float, float, dict[object, _Spot]]:
    def wide(key: object) -> float:
        return _BOX_WIDTH if isinstance(key, str) else _PASSING_WIDTH

    widths = [sum(map(wide, row)) + _GAP_X * (len(row) - 1) for row in rows]
    width = max(widths) + 2 * _MARGIN
    spots: dict[object, _Spot] = {}
    top = float(_MARGIN + 22)
    for row, used in zip(rows, widths, strict=True):
        high = max(
            (_high(made.nodes[key]) for key in row if isinstance(key, str)), default=_LINE + 2 * _PADDING
        )
        left = (width - used) / 2
        for key in row:
            own = _high(made.nodes[key]) if isinstance(key, str) else high
            spots[key] = _Spot(left + wide(key) / 2, top + high / 2, wide(key) / 2, own / 2)
            left += wide(key) + _GAP_X
        top += high + _GAP_Y
    return width, top - _GAP_Y + _MARGIN, spots


# -- how it looks --------------------------------------------------------------------------------------------


def _wrapped(label: str) -> list[str]:
    return textwrap.wrap(label, _LETTERS, max_lines=4, placeholder=" …") or [""]


def _high(label: str) -> int:
    return _LINE * len(_wrapped(label)) + 2 * _PADDING


def _svg(title: str, made: Graph, layout: _Layout) -> str:
    said = "; ".join(
        f"{made.nodes[source]} to {made.nodes[target]}" + (f" ({label})" if label else "")
        for source, target, label in made.edges
    )
    description = _clean(f"{len(made.nodes)} boxes, {len(made.edges)} arrows. {said}").strip()
    mark = hashlib.sha256(f"{title}\0{description}".encode()).hexdigest()[:10]
    arrows, words = [], []
    left, right = 0.0, layout.width
    for index, (source, _target, label) in enumerate(made.edges):
        path, (x, y), side = _path(layout, index, source)
        dashed = ' stroke-dasharray="5 4"' if index in layout.turned else ""
        arrows.append(f'<path d="{path}"{dashed}/>')
        if not label:
            continue
        lines = _wrapped(_clean(label))
        x += side * _ASIDE
        end = x + side * max(map(len, lines)) * _LETTER_WIDTH
        left, right = min(left, end), max(right, end)
        # Above the middle of the arrow, which goes down on this side.
        top = y - _LINE * (len(lines) - 1)
        anchor = "start" if side > 0 else "end"
        words += [_text(x, top + _LINE * rank, line, anchor) for rank, line in enumerate(lines)]
    boxes = [_box(layout.spots[name], made.nodes[name]) for name in made.nodes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right - left:.0f}" '
        f'viewBox="{left:.0f} 0 {right - left:.0f} {layout.height:.0f}" '
        f'role="img" aria-labelledby="t{mark} d{mark}" font-family="sans-serif" font-size="12" '
        f'color="inherit"><title id="t{mark}">{escape(title)}</title>'
        f'<desc id="d{mark}">{escape(description)}</desc>'
        f'<defs><marker id="a{mark}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
        f'{_text(layout.width / 2, _MARGIN + 4, title)}<g fill="none" stroke="currentColor" '
        f'marker-end="url(#a{mark})">{"".join(arrows)}</g>{"".join(boxes)}{"".join(words)}</svg>'
    )


def _path(layout: _Layout, index: int, source: str) -> tuple[str, tuple[float, float], int]:
    """The way of an arrow, and its label's place: beside a point, 1 for the right of it, -1 for the left."""
    if index not in layout.ways:
        spot = layout.spots[source]
        x, y = spot.x + spot.half_width, spot.y
        return f"M{x:.0f} {y - 8:.0f}c24 -12 24 28 0 16", (x + 10, y - 14), 1
    spots = [layout.spots[key] for key in layout.ways[index]]
    down = spots[-1].y > spots[0].y
    side = 1 if down else -1
    # Arrows that go up leave and arrive a little beside those that go down.
    aside = 0 if down else 14
    points = [(spots[0].x + aside, spots[0].y + side * spots[0].half_height)]
    points += [(spot.x, spot.y) for spot in spots[1:-1]]
    points.append((spots[-1].x + aside, spots[-1].y - side * spots[-1].half_height))
    middle = len(points) // 2
    first, second = points[middle - 1], points[middle]
    path = "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
    outwards = -1 if points[-1][0] < points[0][0] else 1
    return path, ((first[0] + second[0]) / 2, (first[1] + second[1]) / 2 + 4), outwards


def _box(spot: _Spot, label: str) -> str:
    lines = _wrapped(label)
    first = spot.y - _LINE * (len(lines) - 1) / 2 + 4
    return (
        f'<rect x="{spot.x - spot.half_width:.0f}" y="{spot.y - spot.half_height:.0f}" '
        f'width="{2 * spot.half_width:.0f}" height="{2 * spot.half_height:.0f}" rx="6" fill="none" '
        'stroke="currentColor"/>'
        + "".join(_text(spot.x, first + _LINE * rank, _clean(line)) for rank, line in enumerate(lines))
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _clean(text: str) -> str:
    # Characters that XML does not allow would make the drawing unreadable.
    return "".join(c if c.isprintable() else " " for c in text)


def _refuse(field: str, cause: str) -> NoReturn:
    path = f"$.diagram.{field}"
    raise InvalidArgumentError(
        f"the inputs do not fit the agent image: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "image", "path": path, "cause": cause[:200]},
    )
