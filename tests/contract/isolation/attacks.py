"""Attacks on what belongs to somebody: a method is called with the ids of another's things, and must answer
word for word as it answers for ids of things that never were.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf import text_format
from google.protobuf.message import Message

from tests.contract.isolation import requests
from tests.contract.isolation.belongings import SESSION, VECTOR, WEBHOOK, Belongings
from tests.contract.isolation.house import METHODS, Answer, Person
from tests.contract.isolation.requests import PAGE, REQUEST, IdField

# What the services make anew for every call.
# Identifiers have digits; of an API key, which has sixteen characters, some have none.
MADE = re.compile(r"mrk_\w+-[a-z0-9]{16}\b|\b[a-z0-9]{16}\b|(?=[\w-]{16,})[\w-]*\d[\w-]*")
_MOMENTS = re.compile(r"^ *(seconds|nanos): -?\d+\n", re.MULTILINE)
_TOKEN = re.compile(r'next_page_token: "[^"]+"')

_RUN = re.compile(r"run_[0-9A-Z]{26}")


@dataclass(frozen=True)
class _Call:
    """What was asked, what was heard, and what of it are values of the attack."""

    requests: list[Message]
    answer: Answer
    values: Mapping[str, str]
    marks: tuple[str, ...]

    @property
    def raw(self) -> str:
        """All that was heard, as text."""
        answer = self.answer
        said = [answer.message, *(f"{key}={value}" for key, value in sorted(answer.metadata.items()))]
        return "\n".join((*said, *map(_text, answer.responses)))

    @property
    def masked(self) -> tuple[str, str, str]:
        """What was heard, without what differs between any two calls."""
        text = self.raw
        for name, value in sorted(self.values.items(), key=lambda item: -len(item[1])):
            text = text.replace(value, f"<{name}>")
        for mark in self.marks:
            text = text.replace(mark, "<own>")
        text = _TOKEN.sub("next_page_token: TOKEN", _MOMENTS.sub("", text))
        return self.answer.code, self.answer.reason, MADE.sub("<made>", text)


def _text(message: Message) -> str:
    return text_format.MessageToString(message, as_utf8=True)


async def attack(
    path: str, victim: Belongings, attacker: Person, but: frozenset[str] = frozenset()
) -> list[str]:
    """What the attacker learns by the method, a line each, which names it; nothing when all is well.

    but: names of fields that are not attacked.
    """
    found: list[str] = []
    fields = [one for one in requests.id_fields(requests.base(path, victim)[0]) if one.name not in but]
    if path.endswith("RunWorkflow"):
        fields = [one for one in fields if one.path[0] != "steps"]
    for attacked in _variants(path, fields):
        where = (
            f"{path} as {attacker.principal.role}, {', '.join(sorted(one.name for one in attacked)) or '-'}"
        )
        foreign = await _called(path, victim, attacker, attacked, theirs=True)
        missing = await _called(path, victim, attacker, attacked, theirs=False)
        if foreign.masked != missing.masked:
            found.append(f"{where}: {foreign.masked} is not {missing.masked}")
        asked = "\n".join(map(_text, foreign.requests))
        heard = [secret for secret in victim.secrets if secret in foreign.raw and secret not in asked]
        if heard:
            found.append(f"{where}: tells of {heard}")
    return found


def _variants(path: str, fields: list[IdField]) -> Iterator[tuple[IdField, ...]]:
    """Nothing, for a list; then everything of the other, then each field alone among one's own."""
    if METHODS[path].name.startswith("List"):
        yield ()
    yield tuple(fields)
    if len(fields) > 1:
        for field in fields:
            yield (field,)


async def _called(
    path: str, victim: Belongings, attacker: Person, attacked: tuple[IdField, ...], *, theirs: bool
) -> _Call:
    own = Belongings(attacker.another(), few=True)
    messages = requests.base(path, victim, frozenset(one.name for one in attacked))
    values: dict[str, str] = {}
    for field in requests.id_fields(messages[0]):
        if any(field.name == one.name for one in attacked):
            value = await _value(path, victim, field)
            values[field.name] = value if theirs else absent(value, field.kind)
            requests.put(messages[0], field.path, values[field.name])
        elif need := requests.needed(path).get(field.name):
            value = await own.get(need) if isinstance(need, str) else need(own)
            requests.put(messages[0], field.path, value)
    try:
        answer = await own.person.call(path, *messages, marked=True)
    finally:
        await own.close()
    marks = (own.mark, own.person.principal.subject)
    return _Call(messages, answer, values, marks)


async def _value(path: str, victim: Belongings, field: IdField) -> str:
    """What the victim has for the field."""
    if field.kind == REQUEST:
        return victim.request_id(path)
    if field.kind == PAGE:
        return await page_token(path, victim)
    return await victim.get(field.kind)


async def page_token(path: str, victim: Belongings) -> str:
    """The token of the second page of the victim's list."""
    answer = await victim.chief.ask(path, await own_request(path, victim))
    assert answer.next_page_token, f"{path} has one page"
    return str(answer.next_page_token)


async def own_request(path: str, owner: Belongings) -> Message:
    """The first message of a call for one's own things."""
    message = requests.base(path, owner)[0]
    for name, need in requests.needed(path).items():
        value = await owner.get(need) if isinstance(need, str) else need(owner)
        requests.put(message, tuple(name.split(".")), value)
    return message


def absent(value: str, kind: str) -> str:
    """A value of the same form that names nothing."""
    if _RUN.fullmatch(value):
        return requests.new_run_id()
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


# What others of the tenant change as well, and what takes a while to be told the same twice.
_UNSTEADY = ("ListUsers", "ListAuditEntries", "ListCollections", "ReplayRun", "EmbedTexts", "ExportSnapshot")


async def belongings_seen(victim: Belongings, service: str) -> dict[str, tuple[str, list[bytes]]]:
    """What the victim finds of the own things in a service, by method; where the agents are asked, in the
    session service, which keeps their runs.
    """
    prefix = service if service in (VECTOR, WEBHOOK) else SESSION
    seen = {}
    for path, method in METHODS.items():
        reads = method.GetOptions().idempotency_level == 1
        if reads and path.startswith(prefix) and not path.endswith(_UNSTEADY):
            answer = await victim.person.call(path, await own_request(path, victim))
            seen[path] = (
                answer.code,
                [one.SerializeToString(deterministic=True) for one in answer.responses],
            )
    return seen
