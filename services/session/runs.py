"""Runs, their events and their journals: the rules, over a store."""

from __future__ import annotations

from dataclasses import replace

from services.session import failures, validation
from services.session.model import Appending, NewRun, Page, Run, RunEntry, RunFilter
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

    async def append(self, tenant: str, run_id: str, appending: Appending) -> tuple[int, int]:
        """Appends events and entries of the journal; the last sequence and the last position."""
        validation.identifier("run_id", run_id)
        validation.events(appending.events)
        validation.entries(appending.entries)
        validation.optional_identifier("agent_id", appending.agent_id)
        validation.owner("owner", appending.owner)
        validation.ending(appending.ending)
        if appending.usage:
            validation.usage(appending.usage)
        return await self._store.append_to_run(tenant, run_id, appending)

    async def take(self, tenant: str, run_id: str, previous: str, owner: str) -> Run:
        """Gives a run another owner, if its owner is still the previous one."""
        validation.identifier("run_id", run_id)
        validation.owner("previous_owner", previous)
        if not owner:
            raise failures.invalid_field("owner", owner, "must name who takes the run")
        return await self._store.take_run(tenant, run_id, previous, validation.owner("owner", owner))

    async def list_entries(self, tenant: str, run_id: str, page_size: int, page_token: str) -> Page[RunEntry]:
        """A page of a run's journal, in order."""
        validation.identifier("run_id", run_id)
        count = validation.page_size(page_size)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListRunEntries", run_id)
        place = tokens.place(page_token)
        page = await self._store.list_entries(tenant, run_id, int(place or 0), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def get(self, tenant: str, run_id: str) -> Run:
        """A run without its events."""
        return await self._store.get_run(tenant, validation.identifier("run_id", run_id))

    async def list_runs(self, tenant: str, wanted: RunFilter, page_size: int, page_token: str) -> Page[Run]:
        """A page of runs, newest first."""
        count = validation.page_size(page_size)
        validation.optional_identifier("session_id", wanted.session_id)
        state = wanted.state.value if wanted.state else ""
        filters = (wanted.session_id, state, str(wanted.earliest))
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListRuns", *filters)
        page = await self._store.list_runs(tenant, wanted, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))
