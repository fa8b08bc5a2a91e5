"""What a report must reach, or must not lose against another one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meldrag_cli.failures import UsageFailure

_METRIC = re.compile(r"(?:ndcg|recall)(?:@[0-9]{1,4})?|mrr|citation_precision")
_CITATIONS = "citation_precision"
# A metric that there is only where something was found: without it there is no mean, which is no good result.
_NO_CITATIONS = "has no value: no query found a passage to cite"
# What JSON and sums of doubles may add.
_EPSILON = 1e-9

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Floor:
    """A mean must not be below this. metric: with its cutoff, or without one for every cutoff."""

    metric: str
    least: float


def floor(text: str) -> Floor:
    """From "ndcg@10=0.7" or "ndcg=0.7". Raises UsageFailure."""
    metric, _, value = text.partition("=")
    try:
        least = float(value)
    except ValueError:
        least = -1.0
    if not _METRIC.fullmatch(metric) or not 0 <= least <= 1:
        raise UsageFailure(
            "USAGE", f"--fail-below {text}: needs METRIC=VALUE, as in ndcg=0.7 or recall@10=0.9, up to 1"
        )
    return Floor(metric, least)


def below(setting: Mapping[str, Any], floors: Sequence[Floor], *, quoted: bool) -> Iterator[str]:
    """What is wrong with a setting of a report. quoted: the golden set has quotes, so citations were judged.

    Raises UsageFailure for a metric that was not measured.
    """
    for one in floors:
        named = {
            name: value
            for name, value in setting["metrics"].items()
            if one.metric in (name, name.partition("@")[0])
        }
        if not named and quoted and one.metric == _CITATIONS:
            yield f"{_CITATIONS} of {setting['name']} {_NO_CITATIONS}, instead of at least {one.least:g}"
            continue
        if not named:
            has = ", ".join(setting["metrics"])
            raise UsageFailure("USAGE", f"--fail-below {one.metric}: the report has {has}")
        for name, value in named.items():
            if value["mean"] < one.least - _EPSILON:
                yield f"{name} of {setting['name']} is {value['mean']:.4f}, below {one.least:g}"


def dropped(before: Mapping[str, Any], after: Mapping[str, Any], most: float) -> Iterator[str]:
    """What a setting lost against another one, metric by metric, where that is more than `most`."""
    for name, old in before["metrics"].items():
        new = after["metrics"].get(name)
        if new is None and name == _CITATIONS:
            yield f"{name} {_NO_CITATIONS}, instead of {old['mean']:.4f}"
        if new is not None and old["mean"] - new["mean"] > most + _EPSILON:
            lost = old["mean"] - new["mean"]
            yield f"{name} fell by {lost:.4f}, from {old['mean']:.4f} to {new['mean']:.4f}"


def require_comparable(baseline: Report, report: Report) -> None:
    """Raises UsageFailure unless both measured the same golden set, at some cutoff alike."""
    if baseline["golden_sha256"] != report["golden_sha256"]:
        raise UsageFailure(
            "GOLDEN_SET_DIFFERS", "the baseline measured another golden set, so nothing can be compared"
        )
    if not set(baseline["settings"][-1]["metrics"]) & set(report["settings"][-1]["metrics"]):
        raise UsageFailure("GOLDEN_SET_DIFFERS", "the baseline has no metric of this report")


def changes(baseline: Report, report: Report) -> Iterator[str]:
    """What besides the setting is not as it was, for people."""
    for name in ("embedding_model", "documents", "chunks", "index_generation"):
        if baseline.get(name) != report.get(name):
            yield f"{name.replace('_', ' ')}: {baseline.get(name)} then, {report.get(name)} now"
