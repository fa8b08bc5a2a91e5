"""Runs and their events: the rules, over a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.session import validation
from services.session.model import NewRun, Page, Run, RunEvent, RunState
from services.session.page_tokens import PageTokens
from services.session.requests import fingerprint
from services.session.store import RunStore


class Runs:
    """What may be done with runs.

    All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and
    what the store raises.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store

    async def create(self, tenant: str, run: NewRun) -> Run:
        """Opens a run; a repeat with equal content returns it as it is now."""
        validation.new_run(run)
        request = (run.request.type_url, run.request.value) if run.request else ()
        content = fingerprint((run.session_id, run.agent_id, *request))
        return await self._store.create_run(tenant, run, content)

    async def append(
        self,
        tenant: str,
        run_id: str,
        events: Sequence[RunEvent],
        state: RunState | None,
        agent_id: str,
    ) -> int:
        """Appends events and returns the last sequence; an end state closes the run."""
        validation.identifier("run_id", run_id)
        validation.events(events)
        validation.optional_identifier("agent_id", agent_id)
        return await self._store.append_events(tenant, run_id, events, state, agent_id)

    async def get(self, tenant: str, run_id: str) -> Run:
        """A run without its events."""
        return await self._store.get_run(tenant, validation.identifier("run_id", run_id))

    async def list_runs(self, tenant: str, session_id: str, page_size: int, page_token: str) -> Page[Run]:
        """A page of runs, newest first; of one session when its id is not empty."""
        count = validation.page_size(page_size)
        validation.optional_identifier("session_id", session_id)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListRuns", session_id)
        page = await self._store.list_runs(tenant, session_id, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))
