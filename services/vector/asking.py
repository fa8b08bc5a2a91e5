"""What several methods of the contract are asked alike: by whom, how long a page, and how to search."""

from __future__ import annotations

from typing import Any

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis import context as call
from services.vector import identifiers
from services.vector.access import Caller
from services.vector.faults import invalid_field
from services.vector.search.searching import Mode

_PAGE, _MOST_PAGE = 100, 1_000
_MOST_HITS = 1_000


def caller() -> Caller:
    """Who calls."""
    return Caller.of(call.principal())


def page_size(given: int) -> int:
    """How many entries a page has, where 0 leaves it to us. Raises INVALID_FIELD, as all here do."""
    return identifiers.whole("page_size", given or _PAGE, 1, _MOST_PAGE)


def mode(asked: Any, parent: str = "") -> Mode:
    """How a SearchRequest or an EvaluationSetting wants to search.

    parent: where the message stands in the request, for the name of the field in an error.
    """
    if asked.mode not in pb.SearchMode.values():
        raise invalid_field(f"{parent}mode", asked.mode, "must be a mode of search")
    return Mode(asked.mode or Mode.HYBRID)


def threshold(asked: Any, usual: float, parent: str = "") -> float:
    """The least cosine of either message, or the usual one."""
    if not asked.HasField("similarity_threshold"):
        return usual
    given = float(asked.similarity_threshold)
    if not -1.0 <= given <= 1.0:
        raise invalid_field(f"{parent}similarity_threshold", given, "must be -1 to 1")
    return given


def top_k(asked: Any, usual: int, parent: str = "") -> int:
    """How many hits either message wants, or the usual number."""
    return identifiers.whole(f"{parent}top_k", asked.top_k or usual, 1, _MOST_HITS)
