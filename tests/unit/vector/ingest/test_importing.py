"""Imports that end before their items do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest

from services.chassis.context import LOCAL_OWNER
from services.chassis.errors import ResourceExhaustedError
from services.vector.access import Caller
from services.vector.ingest.claims import Claims
from services.vector.ingest.importing import Importing, TextItem

OWNER = Caller.of(LOCAL_OWNER)
COLLECTION: Any = SimpleNamespace(key=1)


class Full:
    """Documents of a record whose disk is full."""

    async def known(self, *_: object) -> list[None]:
        # Meanwhile more comes than may wait.
        await asyncio.sleep(0.1)
        raise ResourceExhaustedError("the disk of the record is full", reason="STORAGE_FULL")


async def items(count: int = 1_000) -> AsyncIterator[TextItem]:
    for number in range(count):
        await asyncio.sleep(0)
        yield TextItem(f"e{number}", "", "text", {})


async def failing() -> AsyncIterator[TextItem]:
    async for item in items(3):
        yield item
    raise ConnectionError("the caller has gone")


async def run(documents: Any, of: AsyncIterator[TextItem]) -> None:
    drafter: Any = None
    with ThreadPoolExecutor(2) as executor:
        importing = Importing(documents, drafter, executor, Claims(), lambda: None)
        async with asyncio.timeout(10), aclosing(importing.run(OWNER, COLLECTION, of)) as outcomes:
            async for _ in outcomes:
                pass


async def test_what_ends_an_import_is_said_however_fast_the_items_come() -> None:
    with pytest.raises(ResourceExhaustedError, match="disk"):
        await run(Full(), items())
    assert len(asyncio.all_tasks()) == 1


class Taking:
    """Documents that know every one."""

    async def known(self, _key: int, _caller: object, drafts: list[object]) -> list[object]:
        return [SimpleNamespace() for _ in drafts]


async def test_what_the_items_raise_is_said_after_those_that_came() -> None:
    with pytest.raises(ConnectionError, match="gone"):
        await run(Taking(), failing())
    assert len(asyncio.all_tasks()) == 1
