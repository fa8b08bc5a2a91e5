"""The store in Redis. Every write is one script, so it happens wholly or not at all.

A script writes what counts with one HSET to absolute places: messages, their
number and the request that brought them; events, entries of the journal and how
the run stands. For
Redis 6.2, killed while it writes a transaction to its log, skips the half
transaction at the next start and applies it at the start after that (measured;
a list had the message of a repeated append twice). One command is in the log
wholly or not, and applied late or twice it leaves the same.

Keys are `meld:{<tenant>}:…`: `session:<id>` and `run:<id>` (hashes with all that
belongs to them), `item:<kind>:<name>`, `attachment:<id>`, `sessions`, `runs`,
`attachments`, `session:<id>:runs` and `session:<id>:attachments` (indexes by time),
`items:<kind>` (an index by name), `attachments:bytes`, `once:<method>:<hash>` (first
answers), and those of identity (see identity.redis_identity). A tenant here is the space
of one person (see Principal.space), which is `local` for the local owner, but with
identity. The braces make the tenant's id the hash
tag, so in a cluster everything of a tenant lies in one slot and a script may
touch its session, its runs and its lists together. Ids in keys are validated
before. `meld:{store}` has the schema and the key of the page tokens.

A generation is a whole set of data. It stands in front of the braces,
`meld:<generation>:{<tenant>}:…`, and is absent until a first snapshot is taken.
Every script compares the generation of its keys with the one that counts, which
`meld:generation` names, so all replicas go over at the same command (see
redis_snapshots).

redis-py's own retries are off: they outlast deadlines and apply a write twice. A
call gets at most a second, and after a silence the next calls fail at once for
half a second instead of waiting one by one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any, Literal, TypeVar, cast

import redis.asyncio as redis
from opentelemetry import metrics, trace
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from services.chassis import context, telemetry
from services.chassis.errors import ResourceExhaustedError, UnavailableError
from services.chassis.start import StartError
from services.session import failures, records
from services.session.entries import SESSION_FIELDS
from services.session.model import (
    Appended,
    Appending,
    Deleted,
    EventPage,
    Lifetimes,
    Message,
    NewMessage,
    NewRun,
    Page,
    Payload,
    Read,
    Run,
    RunEntry,
    RunFilter,
    RunState,
    Session,
    Topic,
    TopicChange,
)
from services.session.requests import Once
from services.session.store import RunKey

T = TypeVar("T")
Fields = Mapping[bytes, bytes]

_log = logging.getLogger(__name__)

SCHEMA = 6

# What belongs to no generation.
STORE_KEY = "meld:{store}"
GENERATION_KEY = "meld:generation"

_CALL_SECONDS = 1.0
_SOCKET_SECONDS = 0.8
_CONNECT_SECONDS = 0.5
# Two that are silent leave a call the time to ask the third.
_SENTINEL_SECONDS = 0.25
_HEALTH_CHECK_SECONDS = 15
# Calls at once. Redis and this process each use one core; more would only wait there.
_MAX_CALLS = 16
# What a call may take of the caller's time, so that the answer still reaches it.
_SHARE = 0.8
_PAUSE_SECONDS = 0.5
_MEMORY_SECONDS = 10.0
# Upper bounds in seconds of what is measured of a call.
_CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# A snapshot takes far longer to load than a call takes, so one repeat is enough.
_GENERATIONS_TRIED = 3

# A page stays below gRPC's 4 MiB.
PAGE_BYTES = 3_000_000
_BATCH_EVENTS = 500
_BATCH_BYTES = 1_000_000
# What is kept of a run's events: the newest.
KEPT_EVENTS = 10_000
KEPT_EVENT_BYTES = 16_000_000
# Of a journal all of it is kept or nothing more is taken: without its beginning it is worth nothing.
JOURNAL_BYTES = 16_000_000

# Messages of one person's webhooks that may wait; one holds at most an answer.
WAITING_MESSAGES = 500
# So many of them when documents are told of: the others of an import wait where they are listed, so that runs
# have room.
WAITING_DOCUMENTS = 250

# What the smallest attachment counts; the scripts' `weight` has the same.
LEAST_BYTES = 4096

_CHANNEL = "meld:run-changes"
_SIGNAL_SECONDS = 1.0
_SIGNAL_PING_AFTER = 2
_SIGNAL_LOST_AFTER = 4
_RECONNECT_SECONDS = 0.5

_RUN_FIELDS = (
    *("run_id", "session_id", "agent_id", "request_type", "request", "owner", "parent"),
    *("state", "created", "ended", "last", "journal_last", "takeovers", "usage"),
)

_SCRIPTS = (
    "entry_read",
    "session_create",
    "session_update",
    "session_delete",
    "messages_append",
    "messages_list",
    "sessions_read",
    "index_list",
    "run_create",
    "run_append",
    "run_take",
    "run_entries",
    "run_read",
    "item_put",
    "items_list",
    "item_delete",
    "attachment_put",
    "attachment_read",
    "attachment_delete",
    "attachments_list",
    "attachments_sweep",
    "user_create",
    "user_renew_hash",
    "user_update",
    "user_delete",
    "user_find",
    "users_list",
    "api_key_create",
    "api_key_delete",
    "api_key_use",
    "api_keys_list",
    "family_create",
    "family_rotate",
    "family_delete",
    "attempt_begin",
    "attempt_end",
    "quota_read",
    "quota_take",
    "audit_list",
    "webhook_create",
    "webhook_update",
    "webhook_rotate",
    "webhook_delete",
    "webhook_test",
    "webhooks_list",
    "webhooks_due",
    "webhooks_claim",
    "webhook_settle",
    "document_listeners",
    "document_events_put",
)


@asynccontextmanager
async def open_redis_store(
    host: str,
    port: int,
    password: str,
    lifetimes: Lifetimes,
    *,
    meter: metrics.Meter | None = None,
    sentinels: Sentinels | None = None,
) -> AsyncIterator[RedisStore]:
    """A store for the duration of the block; where there are sentinels they say where it is.

    A Redis that does not answer yet is no error: its health tells. Raises
    StartError when the data were written by a newer release.
    """
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "password": password or None,
        "socket_timeout": _SOCKET_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        # One round trip less at connecting than with the third version, of which nothing is used here.
        "protocol": 2,
        "driver_info": None,
    }
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(_pools(options, sentinels))
        commands = redis.Redis.from_pool(
            pool(
                # Twice the calls at once: a connection whose call was cancelled is away a little longer.
                max_connections=2 * _MAX_CALLS,
                health_check_interval=_HEALTH_CHECK_SECONDS,
            )
        )
        stack.push_async_callback(commands.aclose)
        signals = redis.Redis.from_pool(pool(max_connections=2))
        stack.push_async_callback(signals.aclose)
        store = RedisStore(commands, signals, lifetimes, meter=meter)
        await store.open()
        yield store


@dataclass(frozen=True)
class Sentinels:
    """Who knows which Redis is the primary, and under which name they know it."""

    addresses: tuple[tuple[str, int], ...]
    primary: str


@asynccontextmanager
async def _pools(
    options: Mapping[str, Any], sentinels: Sentinels | None
) -> AsyncIterator[Callable[..., redis.ConnectionPool]]:
    """What makes pools of connections: to that server, or to the one that is the primary at the time."""
    if sentinels is None:
        yield partial(redis.ConnectionPool, **options)
        return
    asked = Sentinel(  # type: ignore[no-untyped-call]
        sentinels.addresses,
        sentinel_kwargs={
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        },
    )
    own = {name: value for name, value in options.items() if name not in ("host", "port")}
    try:
        yield partial(SentinelConnectionPool, sentinels.primary, asked, **own)
    finally:
        await asked.aclose()


class Place(str):
    """A key but for the generation that it lies in, as in "{local}:sessions"."""

    __slots__ = ()

    def under(self, generation: str) -> str:
        """The key in a generation; "" is the first one."""
        return f"{key_prefix(generation)}{self}"


def key_prefix(generation: str) -> str:
    """What the keys of a generation begin with, up to the brace before the tenant."""
    return f"meld:{generation}:" if generation else "meld:"


class RedisStore:
    """Is a ConversationStore, a RunStore and an EventStore."""

    def __init__(
        self,
        commands: redis.Redis,
        signals: redis.Redis,
        lifetimes: Lifetimes,
        *,
        kept_events: int = KEPT_EVENTS,
        kept_event_bytes: int = KEPT_EVENT_BYTES,
        journal_bytes: int = JOURNAL_BYTES,
        meter: metrics.Meter | None = None,
    ) -> None:
        """signals: a client of its own, for the connections that hear of changes and ping."""
        self._redis = commands
        self._signals = signals
        self._lifetime = lifetimes.runs * 1000
        self._conversation_lifetime = lifetimes.conversations * 1000
        self._kept = (kept_events, kept_event_bytes)
        self._journal_bytes = journal_bytes
        folder = resources.files("services.session") / "scripts"
        prelude = (folder / "prelude.lua").read_text() + (folder / "fence.lua").read_text()
        self._scripts = {
            name: commands.register_script(prelude + (folder / f"{name}.lua").read_text())
            for name in _SCRIPTS
        }
        # Bytes that Redis uses and may use, as it told last.
        self._memory: dict[str, int] = {}
        self._memory_due = 0.0
        telemetry.observe(
            "meldrag.store.memory",
            "By",
            "Memory that the store uses, and its limit where it has one",
            lambda: [(float(size), {"kind": kind}) for kind, size in self._memory.items()],
            meter,
        )
        self._duration = (meter or telemetry.meter()).create_histogram(
            "meldrag.store.call.duration",
            "s",
            "Time of a call to the store, by operation and outcome",
            explicit_bucket_boundaries_advisory=_CALL_BUCKETS,
        )
        self._open_script = commands.register_script((folder / "open.lua").read_text())
        self._page_token_key: bytes | None = None
        # As last heard of; the fence tells when it is another.
        self._generation = ""
        self._paused_until = 0.0
        # Stands before the pool because redis-py's own blocking pool serves newcomers
        # before those who wait.
        self._room = asyncio.Semaphore(_MAX_CALLS)

    async def open(self) -> None:
        """Writes or checks the schema. Raises StartError when the data are newer than this release."""
        try:
            await self._prepare()
        except UnavailableError as error:
            _log.warning("%s; waiting for it", error.message)

    async def ping(self) -> None:
        """Raises an exception while Redis cannot be used."""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._signals.ping()
                await self._look_at_memory()
        except (exceptions.RedisError, OSError) as error:
            raise _failure(error) from None
        self._paused_until = 0.0
        await self._prepare()

    async def _look_at_memory(self) -> None:
        """Asks now and then how full Redis is; one that does not tell its guests is well all the same."""
        if time.monotonic() < self._memory_due:
            return
        self._memory_due = time.monotonic() + _MEMORY_SECONDS
        try:
            told = await self._signals.info("memory")
        except exceptions.ResponseError:
            self._memory = {}
            return
        sizes = {"used": int(told.get("used_memory", 0)), "limit": int(told.get("maxmemory", 0))}
        self._memory = {kind: size for kind, size in sizes.items() if size}

    @property
    def lifetime(self) -> int:
        """Milliseconds that the first answer to a request is known, a day at most."""
        return self._lifetime

    @property
    def conversation_lifetime(self) -> int:
        """Milliseconds that a session is kept after its last write."""
        return self._conversation_lifetime

    @property
    def client(self) -> redis.Redis:
        """For what takes the whole store; each call of it belongs into `timed`."""
        return self._redis

    async def generation(self) -> str:
        """The generation that counts now, as Redis knows it."""
        await self._prepared()
        value = await self.timed(
            lambda: cast(Awaitable[bytes | None], self._redis.hget(GENERATION_KEY, "name"))
        )
        self._generation = (value or b"").decode()
        return self._generation

    async def rename(self, key: str, other: str) -> bool:
        """Gives a key the place of another; False when it is not there."""
        try:
            await self.timed(lambda: self._redis.rename(key, other))
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return False
            raise
        return True

    def read_entry(self, pipeline: Any, key: str, limit: int) -> Awaitable[Any]:
        """Queues a read of a whole entry, or of its head when it has more bytes than `limit`."""
        return self._scripts["entry_read"]([key], [limit, *SESSION_FIELDS], client=pipeline)

    async def page_token_key(self) -> bytes:
        """See ConversationStore."""
        return self._page_token_key or await self._prepare()

    async def create_session(self, tenant: str, session_id: str, topic: Topic, once: Once | None) -> Session:
        """See ConversationStore."""
        reply = await self.run(
            "session_create",
            [*session_keys(tenant, session_id), once_place(tenant, "create", once)],
            [
                self._conversation_lifetime,
                session_id,
                fingerprint_of(once),
                session_place(tenant, ""),
                *_topic_fields(topic),
            ],
        )
        return _session_of(fields_of(_accepted(reply, session_id=session_id, once=once)[1]))

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """See ConversationStore."""
        fields = await self.picked(session_place(tenant, session_id), SESSION_FIELDS)
        if not fields:
            raise failures.session_not_found(session_id)
        return _session_of(fields)

    async def list_sessions(self, tenant: str, place: str, count: int) -> Page[Session]:
        """See ConversationStore."""
        next_place, entries = await self.run(
            "index_list",
            [_sessions(tenant)],
            [place, count, PAGE_BYTES, session_place(tenant, ""), "-inf", "", "", *SESSION_FIELDS],
        )
        return Page(tuple(_session_of(fields_of(entry)) for entry in entries), next_place.decode())

    async def read_sessions(self, tenant: str, place: str, room: int) -> Page[Read]:
        """See ConversationStore."""
        next_place, entries = await self.run(
            "sessions_read", [_sessions(tenant)], [place, room, session_place(tenant, ""), *SESSION_FIELDS]
        )
        return Page(tuple(_read_of(*entry) for entry in entries), next_place.decode())

    async def update_session(
        self, tenant: str, session_id: str, change: TopicChange, updated: int | None, once: Once | None
    ) -> Session:
        """See ConversationStore."""
        reply = await self.run(
            "session_update",
            [*session_keys(tenant, session_id), once_place(tenant, "update", once)],
            [
                *(self._conversation_lifetime, session_id, fingerprint_of(once)),
                *(_time_or_any(updated), *_topic_fields(change)),
            ],
        )
        return _session_of(fields_of(_accepted(reply, session_id=session_id, once=once)[1]))

    async def delete_session(
        self, tenant: str, session_id: str, updated: int | None, once: Once | None
    ) -> Deleted:
        """See ConversationStore."""
        reply = await self.run(
            "session_delete",
            [
                *(*session_keys(tenant, session_id), once_place(tenant, "delete", once), _runs(tenant)),
                *(attachments_of(tenant, session_id), attachments(tenant), attachment_bytes(tenant)),
            ],
            [
                *(self._lifetime, session_id, fingerprint_of(once)),
                *(_run(tenant, ""), _CHANNEL, _signal(tenant, "")),
                *(attachment(tenant, ""), session_place(tenant, ""), _time_or_any(updated)),
            ],
        )
        _, flat, *files = _accepted(reply, session_id=session_id, once=once)
        fields = fields_of(flat)
        gone = tuple(name.decode() for name in files[0]) if files else ()
        return Deleted(int(fields[b"messages"]), int(fields[b"runs"]), gone)

    async def append_messages(
        self, tenant: str, session_id: str, messages: Sequence[NewMessage], once: Once
    ) -> Appended:
        """See ConversationStore."""
        reply = await self.run(
            "messages_append",
            session_keys(tenant, session_id),
            [
                *(self._conversation_lifetime, session_id, once.request_id, once.fingerprint),
                *map(records.message_fields, messages),
            ],
        )
        status, first, stored = _accepted(reply, session_id=session_id, once=once)
        return Appended(_messages(stored, int(first)), status == b"existing")

    async def list_messages(
        self, tenant: str, session_id: str, start: int, count: int, direction: Literal["up", "down"]
    ) -> Page[Message]:
        """See ConversationStore."""
        reply = await self.run(
            "messages_list",
            [session_place(tenant, session_id)],
            [start, count, PAGE_BYTES, direction],
        )
        _, first, total, stored = _accepted(reply, session_id=session_id)
        following = first - 1 if direction == "down" else first + len(stored)
        return Page(_messages(stored, first), str(following) if 1 <= following <= total else "")

    async def create_run(self, tenant: str, run: NewRun, fingerprint: bytes) -> Run:
        """See RunStore."""
        request = run.request
        reply = await self.run(
            "run_create",
            [
                *(_run(tenant, run.run_id), _runs(tenant)),
                *(session_keys(tenant, run.session_id) if run.session_id else ()),
            ],
            [
                *(self._lifetime, self._conversation_lifetime, run.run_id, fingerprint),
                *(_run(tenant, ""), run.session_id),
                *(len(_RUN_FIELDS), *_RUN_FIELDS),
                *("agent_id", run.agent_id),
                *(("request_type", request.type_url, "request", request.value) if request else ()),
                *(("owner", run.owner) if run.owner else ()),
                *(("parent", run.parent_run_id) if run.parent_run_id else ()),
            ],
        )
        once = Once(run.run_id, fingerprint)
        return _run_of(fields_of(_accepted(reply, session_id=run.session_id, once=once)[1]))

    async def append_to_run(self, tenant: str, run_id: str, appending: Appending) -> tuple[int, int]:
        """See RunStore."""
        events, entries, state = appending.events, appending.entries, appending.state
        reply = await self.run(
            "run_append",
            [_run(tenant, run_id), _runs(tenant), webhooks_place(tenant), waiting_place(tenant)],
            [
                *(self._lifetime, state.value if state else "", appending.agent_id),
                *(events[0].sequence if events else 0, *self._kept),
                *(_CHANNEL, _signal(tenant, run_id)),
                *(len(events), entries[0].position if entries else 0, self._journal_bytes, appending.owner),
                *(*_told(appending), webhook_place(tenant, ""), message_place(tenant, ""), WAITING_MESSAGES),
                records.usage_record(appending.usage) if appending.usage else "",
                *map(records.event_record, events),
                *map(records.entry_record, entries),
            ],
        )
        if reply[0] == b"full":
            raise failures.journal_full(run_id, self._journal_bytes)
        _, sequence, position = _accepted(reply, run_id=run_id)
        return int(sequence), int(position)

    async def take_run(self, tenant: str, run_id: str, previous: str, owner: str) -> Run:
        """See RunStore."""
        reply = await self.run(
            "run_take", [_run(tenant, run_id)], [self._lifetime, previous, owner, *_RUN_FIELDS]
        )
        return _run_of(fields_of(_accepted(reply, run_id=run_id)[1]))

    async def list_entries(self, tenant: str, run_id: str, after: int, count: int) -> Page[RunEntry]:
        """See RunStore."""
        reply = await self.run("run_entries", [_run(tenant, run_id)], [after, count, PAGE_BYTES])
        _, last, stored = _accepted(reply, run_id=run_id)
        entries = tuple(records.entry(record, after + place) for place, record in enumerate(stored, 1))
        end = after + len(entries)
        return Page(entries, str(end) if end < int(last) else "")

    async def get_run(self, tenant: str, run_id: str) -> Run:
        """See RunStore."""
        fields = await self.picked(_run(tenant, run_id), _RUN_FIELDS)
        if not fields:
            raise failures.run_not_found(run_id)
        return _run_of(fields)

    async def list_runs(self, tenant: str, wanted: RunFilter, place: str, count: int) -> Page[Run]:
        """See RunStore."""
        index = _runs(tenant)
        if wanted.session_id:
            await self.get_session(tenant, wanted.session_id)
            index = _runs_of(tenant, wanted.session_id)
        state = wanted.state.value if wanted.state else ""
        next_place, entries = await self.run(
            "index_list",
            [index],
            [
                *(place, count, PAGE_BYTES, _run(tenant, "")),
                *(wanted.earliest or "-inf", "state", state, *_RUN_FIELDS),
            ],
        )
        return Page(tuple(_run_of(fields_of(entry)) for entry in entries), next_place.decode())

    async def read_events(self, tenant: str, run_id: str, after: int) -> EventPage:
        """See EventStore."""
        reply = await self.run(
            "run_read",
            [_run(tenant, run_id)],
            [after, _BATCH_EVENTS, _BATCH_BYTES],
        )
        _, state, last, first, stored = _accepted(reply, run_id=run_id)
        events = tuple(records.event(record, after + place) for place, record in enumerate(stored, 1))
        return EventPage(events, RunState(state.decode()), last, first)

    async def changes(self) -> AsyncIterator[RunKey | None]:
        """See EventStore."""
        hearing = True
        while True:
            try:
                async with self._signals.pubsub() as subscription:
                    await subscription.subscribe(_CHANNEL)
                    async for signal in _heard(subscription):
                        hearing = True
                        yield signal
            except (exceptions.RedisError, OSError) as error:
                if hearing:
                    _log.info("changes of runs are not heard now", extra={"fields": {"error": repr(error)}})
                hearing = False
            yield None
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _prepare(self) -> bytes:
        """Checks the schema, once. Raises StartError when the data are newer than this release."""
        if self._page_token_key is None:
            script = self._open_script
            schema, key, generation = await self.timed(
                lambda: script([STORE_KEY, GENERATION_KEY], [SCHEMA, secrets.token_bytes(32)])
            )
            if int(schema) > SCHEMA:
                raise StartError(
                    f"Redis holds data of schema {int(schema)}, and this release reads up to {SCHEMA}: "
                    "start the release that wrote them, or a newer one"
                )
            self._page_token_key = key
            self._generation = (generation or b"").decode()
            await self._warn_of_eviction()
        return self._page_token_key

    async def _warn_of_eviction(self) -> None:
        try:
            memory = await self.timed(lambda: self._redis.info("memory"))
        except exceptions.ResponseError as error:
            _log.info("Redis does not tell its eviction policy", extra={"fields": {"error": str(error)}})
            return
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction":
            _log.warning(
                "Redis may evict sessions when its memory is full; set maxmemory-policy to noeviction",
                extra={"fields": {"maxmemory_policy": policy}},
            )

    async def picked(self, key: Place, names: Sequence[str]) -> Fields:
        """The fields of a hash that it has; empty when it is not there.

        No script, which costs Redis many times as much. The generation is read after
        the fields: if it is the same then, it was when they were read.
        """

        async def begin() -> tuple[str, list[bytes | None], str]:
            used = self._generation
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hmget(key.under(used), names)
                pipeline.hget(GENERATION_KEY, "name")
                values, counts = await pipeline.execute()
                return used, values, (counts or b"").decode()

        for _ in range(_GENERATIONS_TRIED):
            used, values, counts = await self._call("hmget", begin)
            self._generation = counts
            if counts == used:
                return {
                    name.encode(): value
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                }
        raise failures.store_unavailable("its data are being replaced")

    async def run(
        self, name: str, keys: Sequence[Place], arguments: Sequence[Place | str | bytes | int]
    ) -> Any:
        """The reply of a script, with every place under the generation that counts."""

        def begin() -> Awaitable[Any]:
            generation = self._generation
            return self._scripts[name](
                [place.under(generation) for place in keys],
                [item.under(generation) if isinstance(item, Place) else item for item in arguments],
            )

        for _ in range(_GENERATIONS_TRIED):
            reply = await self._call(name, begin)
            if reply[0] != b"moved":
                return reply
            self._generation = reply[1].decode()
        raise failures.store_unavailable("its data are being replaced")

    async def _call(self, name: str, begin: Callable[[], Awaitable[Any]]) -> Any:
        """The reply to a call under a span, if Redis was not silent a moment ago.

        What the service looks for by itself, each second, has none: it belongs to no call and is no trace.
        """
        began, outcome = time.monotonic(), "abandoned"
        try:
            self._refuse_in_pause()
            with _span(name) if context.current() is not None else nullcontext():
                await self._prepared()
                reply = await self.timed(begin)
            outcome = "ok"
            return reply
        except Exception as error:
            outcome = _OUTCOMES.get(type(error), "failed")
            raise
        finally:
            self._duration.record(time.monotonic() - began, {"operation": name, "outcome": outcome})

    async def _prepared(self) -> None:
        """Checks the schema, once. Data of a newer release are no store to this one."""
        try:
            await self._prepare()
        except StartError as error:
            raise failures.store_unavailable(str(error)) from None

    def _refuse_in_pause(self) -> None:
        if time.monotonic() < self._paused_until:
            raise failures.store_unavailable("it did not answer a moment ago")

    async def timed(self, begin: Callable[[], Awaitable[T]]) -> T:
        """The outcome of a call, with its errors in our words."""
        limit = min(_CALL_SECONDS, context.remaining() * _SHARE)
        begun = False
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(limit), self._room:
                self._refuse_in_pause()
                begun = True
                reply = await begin()
        except (exceptions.RedisError, OSError) as error:
            # TimeoutError is an OSError: the limit has passed.
            if not begun:
                raise failures.store_unavailable("too many calls wait for it") from None
            if isinstance(error, TimeoutError | exceptions.TimeoutError):
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
            raise _failure(error) from None
        if task and task.cancelling() > cancels:
            # redis-py sends by asyncio.wait_for, which before Python 3.12 loses a cancel that comes with the
            # end of what it waits for: whoever cancels a task that calls again and again waits for ever.
            raise asyncio.CancelledError
        return reply


# What a call that failed is counted as.
_OUTCOMES: Mapping[type[Exception], str] = {UnavailableError: "unavailable", ResourceExhaustedError: "full"}


def _failure(error: Exception) -> Exception:
    """What Redis or the way to it failed with, in our words; the error itself when it is a defect here."""
    # A script passes the server's words on behind its own.
    words = str(error)
    match error:
        case TimeoutError() | exceptions.TimeoutError():
            return failures.store_unavailable("no answer in time")
        case exceptions.AuthenticationError():
            return failures.store_unavailable("it refuses the password")
        case exceptions.OutOfMemoryError():
            return failures.store_full()
        case exceptions.ConnectionError() | exceptions.ClusterError() | OSError():
            return failures.store_unavailable("no connection")
        case _ if "OOM command not allowed" in words:
            return failures.store_full()
        case _ if any(word in words for word in ("NOAUTH", "WRONGPASS", "Authentication required")):
            return failures.store_unavailable("it wants a password")
        case exceptions.ReadOnlyError() | exceptions.TryAgainError():
            return failures.store_unavailable("it takes no writes now")
        case _ if any(word in words for word in ("MISCONF", "READONLY", "LOADING", "BUSY ", "NOREPLICAS")):
            return failures.store_unavailable("it takes no writes now")
    return error


async def _heard(subscription: Any) -> AsyncIterator[RunKey | None]:
    """What a subscription brings. Raises a RedisError when the server falls silent."""
    quiet = 0
    while True:
        message = await subscription.get_message(timeout=_SIGNAL_SECONDS)
        if message is None:
            quiet += 1
            if quiet == _SIGNAL_PING_AFTER:
                await subscription.ping()
            if quiet >= _SIGNAL_LOST_AFTER:
                raise exceptions.ConnectionError("the subscription is silent")
            continue
        quiet = 0
        if message["type"] == "subscribe":
            yield None
        elif message["type"] == "message":
            with suppress(ValueError):
                tenant, run_id = message["data"].decode().split(":")
                yield RunKey(tenant, run_id)


def _accepted(
    reply: list[Any], *, session_id: str = "", run_id: str = "", once: Once | None = None
) -> list[Any]:
    """The reply of a script that did its work. Raises what the script refused it for."""
    match reply[0]:
        case b"missing":
            raise failures.run_not_found(run_id) if run_id else failures.session_not_found(session_id)
        case b"changed":
            raise failures.session_changed(session_id)
        case b"reused":
            raise failures.request_id_reused(once.request_id if once else "")
        case b"ended":
            raise failures.run_ended(run_id)
        case b"taken":
            raise failures.run_taken(run_id, reply[1].decode())
        case b"conflict":
            raise failures.sequence_conflict(run_id, int(reply[1]), int(reply[2]))
    return reply


def _span(name: str) -> AbstractContextManager[object]:
    return telemetry.tracer().start_as_current_span(f"redis {name}", kind=trace.SpanKind.CLIENT)


def _time_or_any(updated: int | None) -> str:
    return "" if updated is None else str(updated)


def _sessions(tenant: str) -> Place:
    return Place(f"{{{tenant}}}:sessions")


def _runs(tenant: str) -> Place:
    return Place(f"{{{tenant}}}:runs")


def session_place(tenant: str, session_id: str) -> Place:
    """Where a session is; with an empty id what the keys of sessions begin with."""
    return Place(f"{{{tenant}}}:session:{session_id}")


def _runs_of(tenant: str, session_id: str) -> Place:
    return Place(session_place(tenant, session_id) + ":runs")


def attachment(tenant: str, attachment_id: str) -> Place:
    """Where an attachment is; with an empty id what the keys of attachments begin with."""
    return Place(f"{{{tenant}}}:attachment:{attachment_id}")


def attachments(tenant: str) -> Place:
    """The index of all attachments of a tenant."""
    return Place(f"{{{tenant}}}:attachments")


def attachments_of(tenant: str, session_id: str) -> Place:
    """The index of the attachments of a session."""
    return Place(session_place(tenant, session_id) + ":attachments")


def attachment_bytes(tenant: str) -> Place:
    """What all attachments of a tenant count together."""
    return Place(f"{{{tenant}}}:attachments:bytes")


def session_keys(tenant: str, session_id: str) -> tuple[Place, ...]:
    """session, index, runs of the session: the order that the scripts know."""
    return session_place(tenant, session_id), _sessions(tenant), _runs_of(tenant, session_id)


def _run(tenant: str, run_id: str) -> Place:
    return Place(f"{{{tenant}}}:run:{run_id}")


def webhook_place(space: str, webhook_id: str) -> Place:
    """Where a webhook is; with an empty id what the keys of webhooks begin with."""
    return Place(f"{{{space}}}:webhook:{webhook_id}")


def webhooks_place(space: str) -> Place:
    """The index of the webhooks of a person."""
    return Place(f"{{{space}}}:webhooks")


# In which there are webhooks.
SPACES = Place("{webhooks}:spaces")


def message_place(space: str, message_id: str) -> Place:
    """Where a message of a webhook is; with an empty id what their keys begin with."""
    return Place(f"{{{space}}}:message:{message_id}")


def waiting_place(space: str) -> Place:
    """The messages of a person's webhooks that are to be sent."""
    return Place(f"{{{space}}}:webhooks:waiting")


def _told(appending: Appending) -> tuple[str, str]:
    """What webhooks are told of the end of a run, as JSON, and the answer; empty where it does not end."""
    if appending.state is None or not appending.state.ended:
        return "", ""
    ending = appending.ending
    said = {
        "outcome": appending.state.value.upper(),
        "usage": {"input_tokens": ending.input_tokens, "output_tokens": ending.output_tokens},
        "answer_mode": ending.answer_mode or None,
        "error_reason": ending.error_reason or None,
    }
    return json.dumps(said), ending.answer


def flag(value: bool) -> str:
    """Yes or no, as scripts and hashes have it."""
    return "1" if value else "0"


def once_place(tenant: str, method: str, once: Once | None) -> Place:
    """Where the first answer to a request is kept; a request id may hold any character, so it is hashed."""
    name = hashlib.sha256(once.request_id.encode()).hexdigest() if once else "none"
    return Place(f"{{{tenant}}}:once:{method}:{name}")


def _signal(tenant: str, run_id: str) -> str:
    return f"{tenant}:{run_id}"


def fingerprint_of(once: Once | None) -> bytes:
    """What a script compares; empty for a request that has no id."""
    return once.fingerprint if once else b""


def fields_of(flat: Sequence[Any]) -> Fields:
    """Names and values that a script gave one behind the other."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _topic_fields(topic: Topic | TopicChange) -> list[str]:
    """Names and values of what is said of a session; None is left out."""
    fields: list[str] = []
    if topic.title is not None:
        fields += ["title", topic.title]
    if topic.collection_ids is not None:
        fields += ["collection_ids", json.dumps(topic.collection_ids)]
    if topic.metadata is not None:
        fields += ["metadata", json.dumps(dict(topic.metadata), ensure_ascii=False)]
    return fields


def _session_of(fields: Fields) -> Session:
    return Session(
        session_id=fields[b"session_id"].decode(),
        topic=Topic(
            fields[b"title"].decode(),
            tuple(json.loads(fields[b"collection_ids"])),
            json.loads(fields[b"metadata"]),
        ),
        messages=int(fields[b"messages"]),
        create_time=int(fields[b"created"]),
        update_time=int(fields[b"updated"]),
        expire_time=int(fields[b"expires"]),
    )


def _read_of(place: bytes, fields: Sequence[bytes], first: int, records_back: Sequence[bytes]) -> Read:
    """first: sequence of the oldest record, which is the last here."""
    messages = _messages(records_back[::-1], first)[::-1]
    return Read(_session_of(fields_of(fields)), messages, place.decode(), first == 1)


def _run_of(fields: Fields) -> Run:
    request = Payload(fields[b"request_type"].decode(), fields[b"request"]) if b"request" in fields else None
    return Run(
        opening=NewRun(
            fields[b"run_id"].decode(),
            fields[b"session_id"].decode(),
            fields[b"agent_id"].decode(),
            request,
            fields.get(b"owner", b"").decode(),
            fields.get(b"parent", b"").decode(),
        ),
        state=RunState(fields[b"state"].decode()),
        create_time=int(fields[b"created"]),
        end_time=int(fields.get(b"ended", b"0")),
        last_sequence=int(fields[b"last"]),
        last_position=int(fields.get(b"journal_last", b"0")),
        takeovers=int(fields.get(b"takeovers", b"0")),
        usage=records.usage(fields[b"usage"]) if b"usage" in fields else None,
    )


def _messages(stored: Sequence[bytes], first: int) -> tuple[Message, ...]:
    return tuple(records.message(record, first + place) for place, record in enumerate(stored))
