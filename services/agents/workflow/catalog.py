"""Workflows by name."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.journal.journal import Journal
from services.agents.workflow.ports import Catalog
from services.chassis.errors import NotFoundError


class NoWorkflows:
    """Is a Catalog that has none."""

    async def find(self, workflow_id: str) -> tuple[workflow_pb2.WorkflowStep, ...]:
        """See Catalog."""
        raise not_found(workflow_id)


class JournaledCatalog:
    """Is a Catalog, behind the journal of a run: a workflow that is changed later is repeated as it was."""

    def __init__(self, inner: Catalog, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def find(self, workflow_id: str) -> tuple[workflow_pb2.WorkflowStep, ...]:
        """See Catalog."""

        async def call() -> list[dict[str, Any]]:
            steps = await self._inner.find(workflow_id)
            return [json_format.MessageToDict(step, preserving_proto_field_name=True) for step in steps]

        plain = await self._journal.ask("workflow", {"workflow_id": workflow_id}, call)
        return tuple(json_format.ParseDict(step, workflow_pb2.WorkflowStep()) for step in plain)


def not_found(workflow_id: str) -> NotFoundError:
    """Why there are no steps of that name."""
    return NotFoundError(
        f"there is no workflow {workflow_id[:64]!r}",
        reason="WORKFLOW_NOT_FOUND",
        metadata={"workflow_id": workflow_id[:64]},
    )
