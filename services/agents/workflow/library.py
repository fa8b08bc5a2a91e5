"""The workflows that there are: those of the release, and the owner's own."""

from __future__ import annotations

import re
from typing import Protocol

from meldrag.agents.v1 import workflow_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.agents.workflow.built_in import built_in
from services.agents.workflow.catalog import not_found
from services.agents.workflow.drawing import draw
from services.chassis.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError

MAX_BYTES = 400_000
_MAX_TITLE = 200
_MAX_DESCRIPTION = 2_000
_MAX_PAGE = 1_000
_PAGE = 100
_ID = re.compile(r"[a-z0-9_-]{1,64}")
# Page tokens: how many of those built in were listed, or where the stored ones go on.
_BUILT_IN, _STORED = "b", "s"


class Shelf(Protocol):
    """Keeps the owner's workflows.

    All raise UnavailableError (SESSION_UNAVAILABLE) when the session service does not answer.
    """

    async def get(self, workflow_id: str) -> workflow_pb2.Workflow:
        """A stored workflow. Raises NotFoundError (WORKFLOW_NOT_FOUND)."""
        ...

    async def page(self, page_size: int, page_token: str) -> tuple[list[workflow_pb2.Workflow], str]:
        """Some of them, by id, and the token of the next page. Raises InvalidArgumentError."""
        ...

    async def put(
        self, workflow: workflow_pb2.Workflow, previous_revision: int, request_id: str
    ) -> workflow_pb2.Workflow:
        """Keeps one in the place of a revision: 0 for a new one, -1 for whatever is there.

        Raises AlreadyExistsError (WORKFLOW_EXISTS), NotFoundError (WORKFLOW_NOT_FOUND), AbortedError
        (WORKFLOW_CHANGED) and ResourceExhaustedError (TOO_MANY_WORKFLOWS).
        """
        ...

    async def delete(self, workflow_id: str) -> None:
        """Raises NotFoundError (WORKFLOW_NOT_FOUND)."""
        ...


class Library:
    """Is a Catalog; lists, checks, keeps and draws workflows."""

    def __init__(self, registry: Registry, shelf: Shelf) -> None:
        self._registry = registry
        self._shelf = shelf

    async def find(self, workflow_id: str) -> tuple[workflow_pb2.WorkflowStep, ...]:
        """See Catalog."""
        return tuple((await self.get(workflow_id)).steps)

    async def get(self, workflow_id: str) -> workflow_pb2.Workflow:
        """A workflow. Raises NotFoundError (WORKFLOW_NOT_FOUND)."""
        if workflow_id in built_in():
            return built_in()[workflow_id]
        if not _ID.fullmatch(workflow_id):
            raise not_found(workflow_id)
        return await self._shelf.get(workflow_id)

    async def page(self, page_size: int, page_token: str) -> tuple[list[workflow_pb2.Workflow], str]:
        """Those built in, then the stored ones. Raises InvalidArgumentError (INVALID_FIELD)."""
        if not 0 <= page_size <= _MAX_PAGE:
            raise _invalid_field("page_size", str(page_size), f"page_size is 0 to {_MAX_PAGE}")
        page_size = page_size or _PAGE
        kind, place = page_token[:1] or _BUILT_IN, page_token[1:]
        if kind == _STORED:
            return self._continued(*await self._shelf.page(page_size, place))
        if kind != _BUILT_IN or not re.fullmatch(r"\d{0,4}", place):
            raise _invalid_field("page_token", page_token, "the page token was not made by this service")
        first = int(place or 0)
        shown = list(built_in().values())[first : first + page_size]
        if len(shown) == page_size:
            return shown, f"{_BUILT_IN}{first + page_size}"
        stored, following = self._continued(*await self._shelf.page(page_size - len(shown), ""))
        return shown + stored, following

    @staticmethod
    def _continued(
        stored: list[workflow_pb2.Workflow], following: str
    ) -> tuple[list[workflow_pb2.Workflow], str]:
        return stored, f"{_STORED}{following}" if following else ""

    async def create(self, workflow: workflow_pb2.Workflow, request_id: str) -> workflow_pb2.Workflow:
        """Checks and keeps a new workflow. Raises InvalidArgumentError (WORKFLOW_INVALID, INVALID_FIELD), and
        as Shelf.put.
        """
        if workflow.workflow_id in built_in():
            raise AlreadyExistsError(
                f"a workflow {workflow.workflow_id} comes with the release",
                reason="WORKFLOW_EXISTS",
                metadata={"workflow_id": workflow.workflow_id},
            )
        return await self._shelf.put(self._checked(workflow), 0, request_id)

    async def update(self, workflow: workflow_pb2.Workflow, request_id: str) -> workflow_pb2.Workflow:
        """Checks and keeps a workflow in the place of the stored one. Raises as `create`, and
        FailedPreconditionError (WORKFLOW_BUILT_IN).
        """
        _own(workflow.workflow_id)
        revision = workflow.revision
        if revision < 0:
            raise _invalid_field("workflow.revision", str(revision), "a revision is 0 or more")
        checked = self._checked(workflow)
        if not revision:
            # Whatever is stored; but something has to be.
            revision = (await self._shelf.get(workflow.workflow_id)).revision
        return await self._shelf.put(checked, revision, request_id)

    async def delete(self, workflow_id: str) -> None:
        """Deletes a stored workflow. Raises NotFoundError (WORKFLOW_NOT_FOUND) and FailedPreconditionError
        (WORKFLOW_BUILT_IN).
        """
        _own(workflow_id)
        if not _ID.fullmatch(workflow_id):
            raise not_found(workflow_id)
        await self._shelf.delete(workflow_id)

    async def draw(self, workflow_id: str, steps: tuple[workflow_pb2.WorkflowStep, ...]) -> str:
        """A picture of a workflow, or of steps. Raises NotFoundError (WORKFLOW_NOT_FOUND) and
        InvalidArgumentError (WORKFLOW_INVALID).
        """
        if workflow_id and steps:
            raise graph.invalid("", "workflow_id", "steps are given, so there can be no name of a workflow")
        found = await self.get(workflow_id) if workflow_id else workflow_pb2.Workflow(steps=steps)
        return draw(found.title or found.workflow_id, graph.validate(found.steps, self._registry))

    def _checked(self, workflow: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
        """What is kept of it."""
        if not _ID.fullmatch(workflow.workflow_id):
            raise _invalid_field(
                "workflow.workflow_id", workflow.workflow_id, "an id has 1 to 64 of a-z, 0-9, '-' and '_'"
            )
        for field, text, limit in (
            ("workflow.title", workflow.title, _MAX_TITLE),
            ("workflow.description", workflow.description, _MAX_DESCRIPTION),
        ):
            if len(text) > limit or "\0" in text:
                raise _invalid_field(field, text, f"at most {limit} characters, and no NUL")
        graph.validate(workflow.steps, self._registry)
        kept = workflow_pb2.Workflow(
            workflow_id=workflow.workflow_id,
            title=workflow.title,
            description=workflow.description,
            steps=workflow.steps,
        )
        if kept.ByteSize() > MAX_BYTES:
            raise graph.invalid("", "steps", f"it has {kept.ByteSize()} bytes; {MAX_BYTES} are allowed")
        return kept


def _own(workflow_id: str) -> None:
    if workflow_id in built_in():
        raise FailedPreconditionError(
            f"the workflow {workflow_id} comes with the release and stays as it is; store yours under another"
            " id",
            reason="WORKFLOW_BUILT_IN",
            metadata={"workflow_id": workflow_id},
        )


def _invalid_field(field: str, value: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        message, reason="INVALID_FIELD", metadata={"field": field, "value": value[:100]}
    )
