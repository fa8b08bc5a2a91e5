"""Attacks by HTTP: an operation is called with the ids of another's things, and must answer byte for byte as
it answers for ids of things that never were, but for these ids.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.contract.isolation import operations
from tests.contract.isolation.attacks import MADE
from tests.contract.isolation.operations import PAGE, REQUEST, TAG, Asked, Operation, Slot
from tests.contract.isolation.residents import API, Heard, Possessions, Resident

# What is made anew for every request.
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]+=*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_UNIX = re.compile(r'("created": ?)\d{10}')
_TOOK = re.compile(r'("[a-z_]*(?:seconds|duration|_ms|_time)": ?)"?[0-9.]+s?"?')
_TOKEN = re.compile(r'("next_page_token": ?|"nextCursor": ?)"[^"]+"')
# Of the connection and the moment.
_PASSING = frozenset(("connection", "content-length", "date", "server", "transfer-encoding", "x-request-id"))
_RUN = re.compile(r"run_[0-9a-z]{26}")
_RUN_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

# Sends a request for somebody; a test that spoils the house does it its own way.
Send = Callable[[Resident, Asked], Awaitable[Heard]]


class Attacker:
    """Somebody who is after another's things. Each change is tried by somebody new of the same kind, so that
    no try knows of those before it.
    """

    def __init__(self, resident: Resident) -> None:
        self.resident = resident
        self._own: Possessions | None = None

    async def possessions(self, operation: Operation) -> Possessions:
        """Whose things a request names besides the victim's, and who sends it."""
        if operation.method != "GET":
            return Possessions(await self.resident.another(), few=True)
        self._own = self._own or Possessions(self.resident, few=True)
        return self._own


@dataclass(frozen=True)
class _Call:
    """What was asked, what was heard, and what of it are values of the attack."""

    asked: Asked
    heard: Heard
    values: Mapping[str, str]
    marks: tuple[str, ...]

    @property
    def masked(self) -> str:
        """What was heard, without what differs between any two requests."""
        headers = (
            f"{name}: {'<tag>' if name == 'etag' else value}"
            for name, value in self.heard.headers
            if name not in _PASSING
        )
        text = "\n".join((str(self.heard.status), *headers, self.heard.body))
        for name, value in sorted(self.values.items(), key=lambda item: -len(item[1])):
            text = text.replace(value, f"<{name}>")
        for mark in self.marks:
            text = text.replace(mark, "<own>")
        text = _TOKEN.sub(r"\1TOKEN", _MOMENT.sub("<moment>", _SECRET.sub("<made>", text)))
        return MADE.sub("<made>", _TOOK.sub(r"\1<took>", _UNIX.sub(r"\1<moment>", text)))


async def _sent(resident: Resident, asked: Asked) -> Heard:
    return await resident.hear(asked)


async def attack(
    operation: Operation, victim: Possessions, attacker: Attacker, send: Send = _sent
) -> list[str]:
    """What the attacker learns by the operation, a line each, which names it; nothing when all is well."""
    found: list[str] = []
    who = attacker.resident
    within = operations.TOLD_WITHIN_A_TENANT if who.tenant == victim.resident.tenant else {}
    but = within.get(operation.operation_id, {})
    for variant in operation.variants():
        attacked = tuple(slot for slot in variant if slot.name not in but)
        if variant and not attacked:
            continue
        where = f"{operation.name} as {who.role} of {who.tenant}, "
        where += ", ".join(sorted(slot.name for slot in attacked)) or "-"
        foreign = await _called(operation, victim, attacker, attacked, send, theirs=True)
        if attacked:
            missing = await _called(operation, victim, attacker, attacked, send, theirs=False)
            if foreign.masked != missing.masked:
                found.append(f"{where}: {foreign.masked} is not {missing.masked}")
        asked = foreign.asked.said
        heard = sorted(one for one in victim.secrets if one in foreign.heard.raw and one not in asked)
        if heard:
            found.append(f"{where}: tells of {heard}")
    return found


async def _called(
    operation: Operation,
    victim: Possessions,
    attacker: Attacker,
    attacked: tuple[Slot, ...],
    send: Send,
    *,
    theirs: bool,
) -> _Call:
    own = await attacker.possessions(operation)
    values: dict[str, str] = {}
    attempted: dict[str, str] = {}
    for slot in operation.slots:
        if slot in attacked:
            value = await value_of(operation, victim, slot)
            attempted[slot.name] = values[slot.name] = value if theirs else absent(value, slot.kind)
        elif slot.name in operation.needed:
            values[slot.name] = await _own(operation, own, slot)
    asked = operations.request(operation, victim.text, values)
    heard = await send(own.resident, asked)
    await own.close()
    return _Call(asked, heard, attempted, (own.mark, own.gold, own.resident.user_id, *own.made.values()))


async def _own(operation: Operation, own: Possessions, slot: Slot) -> str:
    """What somebody without much has for the slot. Who may make nothing names what is not there."""
    if operation.operation_id in ("create_collection", "create_workflow"):
        return own.named("mine")
    if own.resident.role == "viewer" and slot.kind in (
        *("collection", "document", "extraction", "deletion", "evaluation"),
    ):
        return own.named("none")
    return await own.get(slot.kind)


async def value_of(operation: Operation, victim: Possessions, slot: Slot) -> str:
    """What the victim has for the slot."""
    if slot.kind == REQUEST:
        return victim.request_key(operation.operation_id)
    if slot.kind in (PAGE, TAG):
        if known := victim.seen.get((operation.name, slot.name)):
            return known
        # Beyond the workflows that come with the release, of which everybody has the same pages.
        size = "5" if operation.name == "list_workflows" else "1"
        heard = await victims_view(operation, victim, {"page_size": size} if slot.kind == PAGE else {})
        if slot.kind == TAG:
            found = dict(heard.headers)["etag"].strip('"')
        else:
            found = str(heard.json()["next_page_token"] or "")
        assert found, f"{operation.name} has one page"
        victim.seen[operation.name, slot.name] = found
        return found
    return await victim.get(slot.kind)


async def victims_view(operation: Operation, victim: Possessions, query: dict[str, str]) -> Heard:
    """What is behind the path of the operation, for who has it, or administers it."""
    path = operation.path
    for slot in operation.slots:
        if slot.place == "path":
            path = path.replace(f"{{{slot.name}}}", await victim.get(slot.kind))
    for kind in _LISTED.get(operation.operation_id, ()):
        await victim.get(kind)
    chief = await victim.resident.town.owner(victim.resident.tenant)
    who = chief if operation.operation_id in ("list_users", "list_audit_entries") else victim.resident
    # A list that is asked for with a body is asked so for its pages as well.
    body = operations.BODIES.get(operation.operation_id) if operation.lists else None
    heard = await who.hear(
        Asked(operation.method if body else "GET", path, query, json=body(victim.text) if body else None)
    )
    assert heard.status == 200, (operation.name, heard)
    return heard


# What has to be there before a list has pages.
_LISTED = {
    "list_attachments": ("attachment",),
    "list_audit_entries": ("user",),
    "list_collections": ("collection",),
    "list_documents": ("document",),
    "list_messages": ("run",),
    "list_runs": ("run",),
    "list_sessions": ("session",),
    "search_sessions": ("session",),
    "list_users": ("user",),
    "list_workflows": ("workflow",),
    "list_api_keys": ("key",),
    "list_webhooks": ("webhook",),
    "list_webhook_deliveries": ("webhook",),
    "list_evaluations": ("evaluation",),
    "list_evaluated_queries": ("evaluation",),
    "exchange resources/list": ("document",),
}


# What was made by the operation, under a key.
_KEYED = {
    "create_chat_completion": ("run",),
    "create_collection": ("collection",),
    "create_run": ("run",),
    "create_session": ("session",),
    "create_user": ("user",),
    "create_workflow": ("workflow",),
    "put_attachment": ("attachment",),
    "run_workflow": ("live run",),
    "update_session": ("session",),
    "update_workflow": ("workflow",),
    "upload_document": ("document",),
    "import_documents": ("document",),
    "delete_collection": ("deletion",),
    "run_evaluation": ("evaluation",),
    "delete_evaluation": ("evaluation",),
    "test_webhook": ("webhook",),
}


async def furnish(operation: Operation, victim: Possessions) -> None:
    """Makes what the operation could be asked for."""
    for kind in (*_LISTED.get(operation.name, ()), *_KEYED.get(operation.operation_id, ())):
        await victim.get(kind)
    for slot in operation.slots:
        await value_of(operation, victim, slot)


def absent(value: str, kind: str) -> str:
    """A value of the same form that names nothing."""
    if _RUN.fullmatch(value):
        return "run_" + "".join(secrets.choice(_RUN_ALPHABET) for _ in range(26))
    if kind == "resource":
        return re.sub(r"(?<=/)[^/]*\d[^/]*", lambda part: absent(part[0], "document"), value)
    # What the letters in front say is which list goes on, or what kind of thing it is.
    kept = 1 if kind == PAGE else 4 if value.startswith(("ses_", "att_", "usr_")) else 0
    return value[:kept] + "".join(map(_other, value[kept:]))


def _other(character: str) -> str:
    if character.isdigit():
        return secrets.choice("0123456789")
    if character.isalpha():
        letter = secrets.choice("abcdef")
        return letter.upper() if character.isupper() else letter
    return character


# What the victim finds, by what was made of it.
_VIEWS = {
    "collection": ("/collections", "/collections/{collection}", "/collections/{collection}/documents"),
    "document": (
        "/collections/{collection}/documents/{document}",
        "/collections/{collection}/documents/{document}/text",
        "/collections/{collection}/documents/{document}/original",
    ),
    "deletion": ("/deletions/{deletion}",),
    "evaluation": (
        "/collections/{collection}/evaluations",
        "/collections/{collection}/evaluations/{evaluation}",
    ),
    "session": ("/sessions", "/sessions/{session}", "/sessions/{session}/export"),
    "run": ("/runs", "/runs/{run}"),
    "live run": ("/runs/{live run}",),
    "attachment": ("/attachments", "/attachments/{attachment}/content"),
    "workflow": ("/workflows", "/workflows/{workflow}"),
    "key": ("/api-keys",),
    "webhook": ("/webhooks", "/webhooks/{webhook}", "/webhooks/{webhook}/deliveries"),
}
# What has no view of its own, and why.
UNSEEN = {
    "user": "no route shows one user, and the list of a tenant grows by each attacker",
    **dict.fromkeys(("extraction", "external", "resource", "cursor"), "names a document, which is looked at"),
}
_USED = re.compile(r'"last_used": ?("[^"]*"|null)')


async def _embedded(victim: Possessions) -> None:
    """Waits for vectors: the view of a document changes when they come."""
    async with asyncio.timeout(20):
        while True:
            heard = await victim.resident.hear(Asked("GET", f"{API}/collections"))
            if all(one["vectors"] == one["chunks"] for one in json.loads(heard.body)["collections"]):
                return
            await asyncio.sleep(0.1)


async def view(victim: Possessions) -> dict[str, tuple[int, str]]:
    """What the victim finds of the own things. Something, unless all there is has no view."""
    await _embedded(victim)
    assert victim.made
    assert victim.made.keys() <= _VIEWS.keys() | UNSEEN.keys()
    seen = {}
    for kind, paths in _VIEWS.items():
        if kind in victim.made:
            for path in paths:
                named = re.sub(r"\{([a-z ]+)\}", lambda found: victim.made[found[1]], path)
                heard = await victim.resident.hear(Asked("GET", f"{API}{named}"))
                assert heard.status == 200, (path, heard)
                seen[path] = (heard.status, _USED.sub("", heard.body))
    assert seen or victim.made.keys() <= UNSEEN.keys()
    return seen
