"""All data of the store taken, and replaced by those of another time.

`meld:generation` names the generation that counts, and scripts refuse keys of any
other. A new one is loaded beside it under `meld:next:<generation>`, its licence: a
RENAME of that to `meld:generation` makes it count. That is one command and no
script, since a log that ends in half a transaction may bring its writes late, and
it does nothing once the licence is gone. So whatever is killed or late, the one
before or the one after counts, and what does not count is removed only after its
licence was.

`meld:import` is held meanwhile: a token that expires unless it is renewed. Who
takes it over first takes the licences away that it finds; who lost it finds that
out after it has written its licence, or by the RENAME. `leftover` in
`meld:{store}` stands from before the licence until all that does not count is
removed, so that another process finishes what a killed one left.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import itertools
import json
import logging
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

from services.chassis.crash import crash_point
from services.chassis.errors import ServiceError
from services.session import entries, failures
from services.session.entries import Entry
from services.session.redis_store import (
    GENERATION_KEY,
    LEAST_BYTES,
    SCHEMA,
    SPACES,
    STORE_KEY,
    RedisStore,
    key_prefix,
)
from services.session.requests import Once
from services.session.validation import SPACE

T = TypeVar("T")
Command = tuple[str | bytes | int, ...]

_log = logging.getLogger(__name__)

_LOCK = "meld:import"
_LICENCE = "meld:next:"
_LOCK_SECONDS = 15
_RENEW_SECONDS = 3.0
_TIDY_SECONDS = 5.0
_REMEMBERED_SECONDS = 7 * 86_400

_SCAN_KEYS = 500
_READ_ENTRIES = 16
# An entry above this is not read together with others.
_SMALL_BYTES = 256_000
# A field of a session has at most about 2 MB.
_READ_FIELDS = 16
_LOAD_COMMANDS = 500
_LOAD_BYTES = 1_000_000

_ENTRY = re.compile(
    rf"\{{({SPACE})\}}:(?:(session|run|attachment|user|apikey|webhook):([A-Za-z0-9_-]{{1,64}})"
    r"|(item):([a-z_]{1,32}:[a-z0-9_-]{1,64}))"
)
_LOG = re.compile(rf"\{{({SPACE})\}}:audit")
# What follows from entries and is made anew with them; and what is of no use later: first answers, tokens,
# counters. Whatever has another name is new here, and is not silently left out.
_FOLLOWS = re.compile(
    rf"\{{{SPACE}\}}:(?:sessions|runs|attachments(?::bytes)?|items:[^:]+|session:[^:]+:(?:runs|attachments)"
    rf"|users|usernames|owners|externals|apikeys:[^:]+|webhooks)|\{{webhooks\}}:spaces"
)
_PASSES = re.compile(
    rf"\{{{SPACE}\}}:(?:webhooks:(?:waiting|heard)|webhook:[^:]+:messages|(?:once|family|attempts|quota|message):.+)",
    re.DOTALL,
)


class RedisSnapshots:
    """Is a SnapshotStore."""

    def __init__(self, store: RedisStore, *, lock_seconds: int = _LOCK_SECONDS) -> None:
        self._store = store
        self._redis: Any = store.client
        self._lock_milliseconds = lock_seconds * 1000
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def schema(self) -> int:
        """See SnapshotStore."""
        return SCHEMA

    @asynccontextmanager
    async def tidying(self) -> AsyncIterator[None]:
        """Removes what a killed import left, in the background of the block."""
        task = asyncio.create_task(self._tidy(), name="leftovers of imports")
        try:
            yield
        finally:
            tasks = {task, *self._tasks}
            for running in tasks:
                running.cancel()
            await asyncio.wait(tasks)

    async def entries(self, kinds: Collection[str] = entries.KINDS) -> AsyncIterator[Entry]:
        """See SnapshotStore. Remembers each key until the end: SCAN may name one twice."""
        generation = await self._store.generation()
        prefix = key_prefix(generation)
        seen: set[str] = set()
        async for keys in self._scanned(f"{prefix}{{*"):
            for key in keys if "audit" in kinds else ():
                if key not in seen and (log := _LOG.fullmatch(key.removeprefix(prefix))):
                    seen.add(key)
                    for entry in await self._log(key, log[1]):
                        yield entry
            if kinds is entries.KINDS:
                for key in keys:
                    _check_known(key.removeprefix(prefix))
            places = [
                (key, match[1], match[2] or match[4], match[3] or match[5])
                for key in keys
                if key not in seen
                and (match := _ENTRY.fullmatch(key.removeprefix(prefix)))
                and (match[2] or match[4]) in kinds
            ]
            seen.update(place[0] for place in places)
            for group in _groups(places, _READ_ENTRIES):
                replies = await self._read([place[0] for place in group], _SMALL_BYTES)
                for (key, tenant, kind, entry_id), reply in zip(group, replies, strict=True):
                    try:
                        async for entry in self._entry(key, tenant, kind, entry_id, reply):
                            yield entry
                    except entries.MALFORMED:
                        # Not even its names and numbers can be read.
                        raise failures.record_damaged(kind, entry_id, "it cannot be read") from None
        if await self._store.generation() != generation:
            raise failures.import_running()

    async def _log(self, key: str, tenant: str) -> list[Entry]:
        """The lines of a log, which is bounded; a single read is consistent."""
        lines = await self._store.timed(lambda: self._redis.zrange(key, 0, -1))
        return [Entry("audit", tenant, line.split(b" ", 1)[0].decode(), 0, {"line": line}) for line in lines]

    async def has(self, entry: Entry) -> bool:
        """See SnapshotStore."""
        key = f"{key_prefix(await self._store.generation())}{{{entry.tenant}}}:{entry.kind}:{entry.entry_id}"
        return bool(await self._store.timed(lambda: self._redis.exists(key)))

    async def _entry(
        self, key: str, tenant: str, kind: str, entry_id: str, reply: list[Any]
    ) -> AsyncIterator[Entry]:
        """A session, run or thing and what belongs to it; nothing when it has gone."""
        if reply[0] == b"head" and kind != "session":
            # Bounded by what may be kept of it, and changed in place: only a single read is consistent.
            [reply] = await self._read([key], -1)
        match reply[0]:
            case b"moved":
                raise failures.import_running()
            case b"missing":
                return
            case b"whole":
                for entry in entries.parted(Entry(kind, tenant, entry_id, int(reply[1]), _texts(reply[2]))):
                    yield entry
            case _:
                head = Entry(kind, tenant, entry_id, int(reply[1]), _texts(reply[2]))
                async for entry in self._large_session(key, head):
                    yield entry

    async def _large_session(self, key: str, head: Entry) -> AsyncIterator[Entry]:
        """A session as its head tells: messages and requests are added and never changed.

        When it goes while it is read, its head tells of more messages than follow; then
        the snapshot is made again. When it is still there, they are lost.
        """
        yield head
        messages = int(head.fields["messages"])
        cursor, seen = 0, set[str]()
        while True:
            at = cursor
            cursor, found = await self._store.timed(
                lambda at=at: self._redis.hscan(key, at, count=_READ_FIELDS)  # type: ignore[misc]
            )
            fields = {name.decode(): value for name, value in found.items()}
            new = {
                name: value
                for name, value in entries.belongs_to(fields, messages).items()
                if name not in seen
            }
            seen.update(new)
            for part in entries.parts("session", head.tenant, head.entry_id, new):
                yield part
            if cursor == 0:
                break
        if sum(name[0] == "m" for name in seen) != messages:
            [reply] = await self._read([key], 0)
            if reply[0] == b"head":
                raise failures.record_damaged("session", head.entry_id, "messages of a session are missing")
            raise failures.store_unavailable("a session ended while it was read; try again")

    async def _read(self, keys: list[str], limit: int) -> list[Any]:
        async def begin() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    await self._store.read_entry(pipeline, key, limit)
                return cast(list[Any], await pipeline.execute())

        return await self._store.timed(begin)

    async def _scanned(self, pattern: str) -> AsyncIterator[list[str]]:
        cursor = 0
        while True:
            at = cursor
            cursor, keys = await self._store.timed(
                lambda at=at: self._redis.scan(at, match=pattern, count=_SCAN_KEYS)  # type: ignore[misc]
            )
            yield [key.decode() for key in keys]
            if cursor == 0:
                return

    @asynccontextmanager
    async def importing(self) -> AsyncIterator[RedisImporting]:
        """See SnapshotStore."""
        await self._store.generation()
        token = secrets.token_hex(16)
        lock = _Lock(self._store, token, self._lock_milliseconds)
        if not await lock.take():
            raise failures.import_running()
        renewing = asyncio.create_task(lock.renew(), context=contextvars.Context(), name="import lock")
        importing = RedisImporting(self._store, lock)
        try:
            await self._revoke()
            yield importing
        finally:
            # In a context of its own and to its end: not with the deadline of the caller, nor when it leaves.
            ending = asyncio.create_task(
                self._end(lock, renewing, importing), context=contextvars.Context(), name="import end"
            )
            self._tasks.add(ending)
            ending.add_done_callback(self._tasks.discard)
            await asyncio.shield(ending)

    async def _end(self, lock: _Lock, renewing: asyncio.Task[None], importing: RedisImporting) -> None:
        """Removes what does not count and lets go; what fails here is done by `tidying`, of any process."""
        try:
            if importing.began:
                await importing.surrender()
                await self._sweep(lock)
        except Exception as error:
            _log.warning("leftovers of an import stay for now", extra={"fields": {"error": repr(error)}})
            self._tasks.add(later := asyncio.create_task(self._tidy()))
            later.add_done_callback(self._tasks.discard)
        finally:
            renewing.cancel()
            with suppress(ServiceError):
                await lock.release()

    async def _revoke(self) -> None:
        """Takes away the licences of those who lost the lock: nothing of theirs can count from now on."""
        async for keys in self._scanned(f"{_LICENCE}*"):
            if keys:
                await self._store.timed(lambda keys=keys: self._redis.unlink(*keys))  # type: ignore[misc]

    async def _tidy(self) -> None:
        """Waits for the store and for those who import, then removes leftovers."""
        while True:
            try:
                await self._store.generation()
                if not await self._store.timed(lambda: self._redis.hexists(STORE_KEY, "leftover")):
                    return
                async with self.importing() as importing:
                    importing.began = True
            except ServiceError as error:
                _log.debug("leftovers of an import wait: %s", error.message)
            except Exception as error:
                _log.info("leftovers of imports are not looked for", extra={"fields": {"error": repr(error)}})
                return
            await asyncio.sleep(_TIDY_SECONDS)

    async def _sweep(self, lock: _Lock) -> None:
        """Removes every key of a generation that does not count. Only while no licence is out.

        The lock is looked at between finding and removing: what was found while it
        was held cannot be of somebody who holds it later.
        """
        prefix = f"{key_prefix(await self._store.generation())}{{"
        async for keys in self._scanned("meld:*{*}:*"):
            gone = [key for key in keys if not key.startswith(prefix)]
            for group in _groups(gone, _READ_ENTRIES):
                await lock.check()
                await self._store.timed(lambda group=group: self._redis.unlink(*group))  # type: ignore[misc]
                crash_point("import_sweep")
        await self._store.timed(lambda: self._redis.hdel(STORE_KEY, "leftover"))


class RedisImporting:
    """Is an Importing. began: something was loaded, so there is something to remove."""

    def __init__(self, store: RedisStore, lock: _Lock) -> None:
        self.began = False
        self._generation = secrets.token_hex(8)
        self._store = store
        self._redis: Any = store.client
        self._lock = lock

    async def earlier(self, once: Once) -> int | None:
        """See Importing."""
        said = await self._store.timed(lambda: self._redis.hget(GENERATION_KEY, _remembered(once)))
        if said is None:
            return None
        first = json.loads(said)
        if first["fingerprint"] != once.fingerprint.hex():
            raise failures.request_id_reused(once.request_id)
        return int(first["sessions"])

    async def replace(
        self, found: Iterator[Entry], counts: Mapping[str, int], created: int, once: Once | None
    ) -> int:
        """See Importing."""
        self.began = True
        seconds, microseconds = await self._store.timed(self._redis.time)
        # A clock that went back takes nothing away.
        later = max(0, seconds * 1000 + microseconds // 1000 - created)
        loading = _Loading(key_prefix(self._generation), later)
        # Before anything of it is loaded. The lock after it: who has lost it by then is not overlooked.
        licence: dict[str, str] = {"name": self._generation, **await self._remembered_requests(seconds)}
        await self._store.timed(lambda: self._redis.hset(STORE_KEY, "leftover", self._generation))
        await self._store.timed(lambda: self._redis.hset(self._licence, mapping=licence))
        await self._lock.check()
        while batch := await asyncio.to_thread(_batch, found, loading):
            await self._write(batch)
            crash_point("import_load")
        for group in _groups(loading.indexes(), _LOAD_COMMANDS):
            await self._write(group)
        crash_point("import_count")
        counted = await self._counted(loading)
        for kind in entries.COUNTED:
            if counted[kind] != counts.get(kind, 0):
                raise failures.import_incomplete(kind, counts.get(kind, 0), counted[kind])
        for group in _groups(loading.expiries(), _LOAD_COMMANDS):
            await self._write(group)
        if once is not None:
            said = {"fingerprint": once.fingerprint.hex(), "sessions": counted["sessions"], "time": seconds}
            await self._store.timed(
                lambda: self._redis.hset(self._licence, _remembered(once), json.dumps(said))
            )
        # Writing to a licence that was taken away has made another, without its name.
        await self._lock.check()
        crash_point("import_loaded")
        if not await self._store.rename(self._licence, GENERATION_KEY):
            raise failures.import_running()
        crash_point("import_switched")
        return counted["sessions"]

    async def _counted(self, loading: _Loading) -> Counter[str]:
        """What the store holds of what was loaded, by kind: asks how many fields each session and run has."""
        counted = Counter(loading.parts)
        for keys in _groups(loading.logs, _LOAD_COMMANDS):
            counted["audits"] += sum(await self._write([("ZCARD", key) for key in keys]))
        for group in _groups(loading.fields.items(), _LOAD_COMMANDS):
            sizes = await self._write([("HLEN", key) for key, _ in group])
            for (key, fields), size in zip(group, sizes, strict=True):
                kind = loading.kind(key)
                if kind in entries.HEADS:
                    counted[f"{kind}s"] += size > 0
                    counted[entries.HEADS[kind]] -= fields - size
                else:
                    counted[f"{kind}s"] += size == fields
        return counted

    async def surrender(self) -> None:
        """Gives the licence back, so that what was loaded cannot count any more, unless it does already."""
        await self._store.timed(lambda: self._redis.unlink(self._licence))

    @property
    def _licence(self) -> str:
        return f"{_LICENCE}{self._generation}"

    async def _remembered_requests(self, now: int) -> dict[str, str]:
        """The first answers that may still be asked for again."""
        said: Mapping[bytes, bytes] = await self._store.timed(lambda: self._redis.hgetall(GENERATION_KEY))
        return {
            name.decode(): value.decode()
            for name, value in said.items()
            if name.startswith(b"import:") and json.loads(value)["time"] >= now - _REMEMBERED_SECONDS
        }

    async def _write(self, commands: list[Command]) -> list[Any]:
        async def begin() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return cast(list[Any], await pipeline.execute())

        return await self._store.timed(begin)


class _Loading:
    """The commands that load entries under a prefix.

    later: milliseconds by which all that expires does so later than its entry says. Nothing
    expires before all of it is loaded and counted. fields: how many each head has, by its key. parts: the
    messages and events of all of them. logs: their keys.
    """

    def __init__(self, prefix: str, later: int) -> None:
        self.fields: dict[str, int] = {}
        self.logs: set[str] = set()
        self.parts = Counter[str]()
        self._prefix = prefix
        self._later = later
        # When a session or run expires, by its key; 0 for never.
        self._entries: dict[str, int] = {}
        # When an index expires, by its key: with the last of its entries.
        self._indexes: dict[str, int] = {}
        # Runs of sessions, which may come later in the file: members and their places.
        self._runs: dict[str, list[Command]] = {}

    def commands(self, entry: Entry) -> Iterator[Command]:
        """What an entry becomes."""
        tenant = f"{self._prefix}{{{entry.tenant}}}"
        if not entry.head:
            kind = "session" if entry.kind == "messages" else "run"
            key = f"{tenant}:{kind}:{entry.entry_id}"
            self.fields[key] += len(entry.fields)
            # The others are requests.
            self.parts[entry.kind] += sum(name[0] in "me" for name in entry.fields)
            yield self._hash(key, entry)
            return
        if entry.kind == "audit":
            key = f"{tenant}:audit"
            self.logs.add(key)
            yield "ZADD", key, entry.entry_id, entry.fields["line"]
            return
        entry = entries.lasting(entry, self._later)
        key = f"{tenant}:{entry.kind}:{entry.entry_id}"
        self.fields[key], self._entries[key] = len(entry.fields), entry.expires
        yield self._hash(key, entry)
        if entry.kind == "item":
            kind, _, name = entry.entry_id.partition(":")
            yield "ZADD", f"{tenant}:items:{kind}", 0, name
        elif entry.kind == "attachment":
            yield from self._attachment(tenant, entry)
        elif entry.kind == "user":
            yield from self._user(tenant, entry)
        elif entry.kind == "apikey":
            owner, created = entry.fields["user_id"].decode(), entry.fields["created"]
            yield "ZADD", f"{tenant}:apikeys:{owner}", created, entry.entry_id
        elif entry.kind == "webhook":
            yield "ZADD", f"{tenant}:webhooks", entry.fields["created"], entry.entry_id
            yield "SADD", f"{self._prefix}{SPACES}", entry.tenant
        elif entry.kind == "session":
            yield self._indexed(f"{tenant}:sessions", entry, "updated")
        else:
            yield self._indexed(f"{tenant}:runs", entry, "created")
            if session_id := entry.fields["session_id"].decode():
                session = f"{tenant}:session:{session_id}"
                self._runs.setdefault(session, []).append((entry.fields["created"], entry.entry_id))

    def indexes(self) -> Iterator[Command]:
        """The runs of sessions, when all entries have been seen."""
        for session, members in self._runs.items():
            # A run outlives its session where it was written to later.
            if session in self._entries:
                for group in _groups(members, _LOAD_COMMANDS):
                    yield "ZADD", f"{session}:runs", *(part for member in group for part in member)
                self._indexes[f"{session}:runs"] = self._entries[session]

    def expiries(self) -> Iterator[Command]:
        """What is left then."""
        for key, expires in itertools.chain(self._entries.items(), self._indexes.items()):
            if expires:
                yield "PEXPIREAT", key, expires

    def _attachment(self, tenant: str, entry: Entry) -> Iterator[Command]:
        """Its places. One whose session is gone has them too, so that the sweep finds it."""
        created, weight = entry.fields["created"], max(int(entry.fields["bytes"]), LEAST_BYTES)
        yield "ZADD", f"{tenant}:attachments", created, entry.entry_id
        yield "INCRBY", f"{tenant}:attachments:bytes", weight
        if session_id := entry.fields["session_id"].decode():
            yield "ZADD", f"{tenant}:session:{session_id}:attachments", created, entry.entry_id

    @staticmethod
    def _user(tenant: str, entry: Entry) -> Iterator[Command]:
        """Where a user is found."""
        fields = entry.fields
        yield "ZADD", f"{tenant}:users", 0, fields["folded"]
        yield "HSET", f"{tenant}:usernames", fields["folded"], entry.entry_id
        if fields["external"]:
            yield "HSET", f"{tenant}:externals", fields["external"], entry.entry_id
        if (fields["role"], fields["disabled"]) == (b"owner", b"0"):
            yield "SADD", f"{tenant}:owners", entry.entry_id

    def kind(self, key: str) -> str:
        """Of what kind a key of `fields` is."""
        return key.removeprefix(self._prefix).split(":")[1]

    @staticmethod
    def _hash(key: str, entry: Entry) -> Command:
        return "HSET", key, *(part for field in entry.fields.items() for part in field)

    def _indexed(self, index: str, entry: Entry, place: str) -> Command:
        longest = self._indexes.get(index, 1)
        self._indexes[index] = max(longest, entry.expires) if longest and entry.expires else 0
        return "ZADD", index, entry.fields[place], entry.entry_id


def _check_known(name: str) -> None:
    """Raises DataLossError (RECORD_DAMAGED) for a key of a kind that no snapshot would bring back."""
    # "{store}" is the store's own and of no generation.
    if "}:" in name and not any(each.fullmatch(name) for each in (_ENTRY, _LOG, _FOLLOWS, _PASSES)):
        kind = name.partition("}:")[2].partition(":")[0]
        raise failures.kind_unknown(kind)


def _batch(found: Iterator[Entry], loading: _Loading) -> list[Command]:
    """The next commands, bounded; empty at the end."""
    commands: list[Command] = []
    size = 0
    for entry in found:
        commands += loading.commands(entry)
        size += entry.size
        if size >= _LOAD_BYTES or len(commands) >= _LOAD_COMMANDS:
            break
    else:
        return commands
    return commands or _batch(found, loading)


class _Lock:
    """`meld:import`, held by a token and renewed."""

    def __init__(self, store: RedisStore, token: str, milliseconds: int) -> None:
        self._store = store
        self._redis: Any = store.client
        self._token = token
        self._milliseconds = milliseconds

    async def take(self) -> bool:
        """True when nobody else held it."""
        return bool(
            await self._store.timed(
                lambda: self._redis.set(_LOCK, self._token, nx=True, px=self._milliseconds)
            )
        )

    async def renew(self) -> None:
        """Keeps it until cancelled. A renewal that fails is tried again; `check` finds out what it led to."""
        while True:
            await asyncio.sleep(min(_RENEW_SECONDS, self._milliseconds / 3000))
            with suppress(ServiceError):
                if await self._held():
                    await self._store.timed(lambda: self._redis.pexpire(_LOCK, self._milliseconds))

    async def check(self) -> None:
        """Raises AbortedError (IMPORT_RUNNING) when it was lost."""
        if not await self._held():
            raise failures.import_running()

    async def release(self) -> None:
        """Lets go of it, if it is still held."""
        if await self._held():
            await self._store.timed(lambda: self._redis.delete(_LOCK))

    async def _held(self) -> bool:
        value = await self._store.timed(lambda: cast(Awaitable[bytes | None], self._redis.get(_LOCK)))
        return value == self._token.encode()


def _remembered(once: Once) -> str:
    """The field that has the first answer to a request."""
    return f"import:{hashlib.sha256(once.request_id.encode()).hexdigest()}"


def _texts(flat: list[bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _groups(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """The items in lists of `count`, the last one shorter."""
    left = iter(items)
    while group := list(itertools.islice(left, count)):
        yield group
