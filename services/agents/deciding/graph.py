"""Checks a workflow before anybody runs it."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from meldrag.agents.v1 import workflow_pb2


def check(steps: Sequence[workflow_pb2.WorkflowStep]) -> None:
    """Raises ValueError that names the steps which wait for each other."""
    try:
        TopologicalSorter({step.step_id: list(step.after) for step in steps}).prepare()
    except CycleError as error:
        raise ValueError(f"the steps {' → '.join(error.args[1])} wait for each other") from error
