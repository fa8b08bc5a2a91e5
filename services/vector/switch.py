"""The application that answers now, and how it is closed and started again over another record meanwhile.

Every call goes through the switch. A step of a call is a task of its own: the switch can end it and the
caller still hears why. While there is no application, calls wait a moment for the next one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar, cast

from services.chassis import context
from services.chassis.errors import ServiceError
from services.chassis.health import Dependency
from services.vector.application import Application
from services.vector.faults import record_replaced, record_restoring

T = TypeVar("T")

_log = logging.getLogger(__name__)

# A call that comes during an exchange waits so long before it is sent away.
_WAIT_SECONDS = 2.0
# A read that runs when an exchange begins gets so long to end; whatever is told to end, so long to do it.
_READ_SECONDS = 1.0
_END_SECONDS = 10.0
_BACKOFF_SECONDS = (0.5, 2.0, 10.0, 30.0)


class Switch:
    """Made by `switched`. One event loop."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Application]]) -> None:
        self._start = start
        self._application: Application | None = None
        self._life = AsyncExitStack()
        self._open = asyncio.Event()
        self._quiet = asyncio.Event()
        self._running: set[_Running] = set()
        self._followers: list[Callable[[], None]] = []
        self._exchanging: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def application(self) -> Application:
        """The one that answers now. Raises UnavailableError (RECORD_RESTORING)."""
        if self._application is None:
            raise record_restoring()
        return self._application

    def follow(self, changed: Callable[[], None]) -> None:
        """`changed` is called when an application goes or comes, and when its index changes its state."""
        self._followers.append(changed)
        if self._application is not None:
            self._application.keeper.follow(changed)

    def dependencies(self) -> tuple[Dependency, ...]:
        """Those of the application that answers at the moment of the ping."""

        def ping(name: str) -> Callable[[], Awaitable[None]]:
            async def current() -> None:
                await next(one for one in self.application.dependencies() if one.name == name).ping()

            return current

        return tuple(
            Dependency(one.name, ping(one.name), one.required) for one in self.application.dependencies()
        )

    async def call(self, work: Callable[[Application], Coroutine[Any, Any, T]], *, writes: bool) -> T:
        """The outcome of `work` on the application.

        When the record is exchanged before the end, a call that writes is ended at once and raises
        AbortedError (RECORD_REPLACED); one that reads gets a moment and then raises UnavailableError
        (RECORD_RESTORING), as do calls that wait too long for the next application.
        """
        application = await self._next_application()
        running = _Running(writes)
        self._running.add(running)
        try:
            return await running.step(work(application))
        finally:
            self._ended(running)

    async def stream(
        self, work: Callable[[Application], AsyncGenerator[T, None]], *, writes: bool
    ) -> AsyncGenerator[T, None]:
        """What `work` on the application yields; ends as `call` does."""
        application = await self._next_application()
        items = work(application)
        running = _Running(writes, items)
        self._running.add(running)
        try:
            while (item := await running.step(_next(items))) is not _NOTHING:
                yield item
        finally:
            try:
                await running.close()
            finally:
                self._ended(running)

    async def exchange(self, change: Callable[[], None]) -> None:
        """Ends what runs, closes the application, calls `change` in a thread, starts the next application.

        Goes on when its caller leaves. When `change` raises, what is there is started again and the caller
        hears of it. One exchange at a time.
        """
        self._exchanging = asyncio.create_task(self._exchange(change), name="exchange")
        await asyncio.shield(self._exchanging)

    async def start(self) -> None:
        """The first application. Raises StartError."""
        self._application = await self._life.enter_async_context(self._start())
        self._open.set()

    async def close(self) -> None:
        """Ends the application, after an exchange under way."""
        self._ending.set()
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        self._application = None
        await self._life.aclose()

    async def _exchange(self, change: Callable[[], None]) -> None:
        self._open.clear()
        self._application = None
        self._tell()
        _log.info("the record is being exchanged")
        await self._end_calls()
        try:
            await self._life.aclose()
        except Exception:
            # The record is the last to be closed, and is closed whatever else fails.
            _log.exception("the application did not end cleanly")
        try:
            await asyncio.to_thread(change)
        finally:
            await self._start_again()
            self._tell()

    async def _end_calls(self) -> None:
        await self._end([one for one in self._running if one.writes], record_replaced())
        if self._running:
            self._quiet.clear()
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    await self._quiet.wait()
            except TimeoutError:
                await self._end(list(self._running), record_restoring())

    async def _end(self, calls: list[_Running], fault: ServiceError) -> None:
        if calls:
            ends = [asyncio.create_task(one.end(fault)) for one in calls]
            _, late = await asyncio.wait(ends, timeout=_END_SECONDS)
            if late:
                _log.warning("%d calls do not end", len(late))
            # One whose caller is slow to read has still to hear of it, but does nothing any more.
            self._running.difference_update(calls)

    async def _start_again(self) -> None:
        """Tries for ever, ever less often: a full disk may get space. Until then health says what is."""
        attempt = 0
        while not self._ending.is_set():
            self._life = AsyncExitStack()
            try:
                application = await self._life.enter_async_context(self._start())
            except Exception:
                _log.exception("the application does not start")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]):
                        await self._ending.wait()
                attempt += 1
                continue
            for changed in self._followers:
                application.keeper.follow(changed)
            self._application = application
            self._open.set()
            return

    async def _next_application(self) -> Application:
        if self._application is None:
            try:
                async with asyncio.timeout(min(_WAIT_SECONDS, context.remaining())):
                    await self._open.wait()
            except TimeoutError:
                raise record_restoring() from None
        return self.application

    def _ended(self, running: _Running) -> None:
        self._running.discard(running)
        if not self._running:
            self._quiet.set()

    def _tell(self) -> None:
        for changed in self._followers:
            changed()


@asynccontextmanager
async def switched(start: Callable[[], AbstractAsyncContextManager[Application]]) -> AsyncIterator[Switch]:
    """A switch with an application that `start` made, for the block. Raises StartError."""
    switch = Switch(start)
    try:
        await switch.start()
        yield switch
    finally:
        await switch.close()


class _Running:
    """A call on its way. `items`: the generator of one that streams."""

    def __init__(self, writes: bool, items: AsyncGenerator[Any, None] | None = None) -> None:
        self.writes = writes
        self._items = items
        self._context = contextvars.copy_context()
        self._fault: ServiceError | None = None
        self._task: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def step(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of a step, unless the call is ended meanwhile: then raises why."""
        if self._fault is not None:
            work.close()
            raise self._fault
        task = self._task = asyncio.create_task(work, context=self._context)
        try:
            # Whoever cancels the caller cancels the task, and waits for its end.
            outcome: T = await task
            return outcome
        except (asyncio.CancelledError, Exception):
            caller = asyncio.current_task()
            if self._fault is not None and not (caller and caller.cancelling()):
                raise self._fault from None
            raise
        finally:
            self._task = None

    async def end(self, fault: ServiceError) -> None:
        """Ends the step under way and the rest; returns when nothing of it runs any more."""
        self._fault = fault
        if self._task is not None:
            task = self._task
            task.cancel()
            await asyncio.wait([task])
        await self.close()

    async def close(self) -> None:
        """Ends the generator, once."""
        if self._items is None:
            return
        if self._closing is None:
            self._closing = asyncio.create_task(_close(self._items), context=self._context)
        await asyncio.shield(self._closing)


_NOTHING: Any = object()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return cast("T", await anext(items, _NOTHING))


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
