"""What three tenants have, as it should be: who may do what with a thing, and what is gone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from services.chassis.roles import MEMBER, OWNER
from tests.contract.isolation.house import House, Person

CANARY = re.compile(rb"qz[0-9a-f]{12}x")
GROUP = "cooks"


class Right(IntEnum):
    """What somebody may do with a thing; as the roles of a collection."""

    NONE = 0
    READ = 1
    WRITE = 2
    OWN = 3


@dataclass(eq=False)
class Actor:
    """Somebody who calls."""

    person: Person
    tenant: str
    subject: str
    role: str
    group: str

    @property
    def grantees(self) -> set[tuple[str, str]]:
        """The names under which something may be given to this one."""
        return {("subject", self.subject), ("group", self.group), ("group", "everyone")}


@dataclass(eq=False)
class Thing:
    """Something with a canary in its words. key: what names it in a request. above: what it goes with.

    original: its text came as a file.
    """

    kind: str
    key: str
    canary: str
    owner: Actor
    above: Thing | None = None
    text: str = ""
    gone: bool = False
    ended: bool = False
    extraction: str = ""
    original: bool = False
    revision: int = 1
    grants: dict[tuple[str, str], Right] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it and what it goes with are there."""
        return not self.gone and (self.above is None or self.above.alive)

    def right(self, actor: Actor) -> Right:
        """What the actor may do with it."""
        if self.kind in ("document", "evaluation"):
            assert self.above is not None
            return self.above.right(actor)
        if self.owner is actor:
            return Right.OWN
        if self.kind != "collection" or self.owner.tenant != actor.tenant:
            return Right.NONE
        if actor.role == OWNER:
            return Right.OWN
        return max((self.grants.get(one, Right.NONE) for one in actor.grantees), default=Right.NONE)


def new_canary() -> str:
    """A word that stands nowhere else."""
    return f"qz{secrets.token_hex(6)}x"


class Estates:
    """All things of three tenants, each with somebody who manages it and a member."""

    def __init__(self, house: House) -> None:
        self.actors: list[Actor] = []
        mark = secrets.token_hex(4)
        for number in range(3):
            tenant = f"t{number}-{mark}"
            for role, subject, group in ((OWNER, "ann", ""), (MEMBER, "bob", GROUP)):
                groups = frozenset({group} - {""})
                person = house.person(tenant, subject, role, groups)
                self.actors.append(Actor(person, tenant, subject, role, group))
        self.things: list[Thing] = []
        self.by_canary: dict[bytes, Thing] = {}

    def add(self, thing: Thing) -> Thing:
        """Notes a new thing."""
        self.things.append(thing)
        self.by_canary[thing.canary.encode()] = thing
        return thing

    def of(self, actor: Actor, kind: str, above: Thing | None = None) -> list[Thing]:
        """What the actor can find of a kind, where told so below one other thing."""
        return [
            one
            for one in self.things
            if one.kind == kind
            and one.alive
            and one.right(actor) > Right.NONE
            and (above is None or one.above is above)
        ]

    def closed(self, actor: Actor, kind: str) -> list[Thing]:
        """What is of others, and whose name means nothing to the actor."""
        return [one for one in self._all(kind) if one.alive and not self._means(actor, one)]

    def lost(self, actor: Actor, kind: str) -> list[Thing]:
        """What the actor had once, and whose name means nothing any more."""
        return [
            one
            for one in self._all(kind)
            if not one.alive and one.owner is actor and not self._means(actor, one)
        ]

    def _all(self, kind: str) -> Iterator[Thing]:
        return (one for one in self.things if one.kind == kind)

    def _means(self, actor: Actor, thing: Thing) -> bool:
        return any(one.key == thing.key for one in self.of(actor, thing.kind))
