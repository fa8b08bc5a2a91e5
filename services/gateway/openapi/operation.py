"""What a route says of itself: its parameters, its body and its answers.

    @blueprint.get("/things/<thing_id>")
    @operation(answers={200: json("Thing")}, conditional=True)
    def get_thing(thing_id: str) -> Response:
        \"\"\"One thing.\"\"\"

The summary is the first line of the function's docstring. Schemas are names of components (resources.py,
bodies.py) or schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from services.gateway.openapi.resources import page
from services.gateway.openapi.schema import Schema, reference

Route = TypeVar("Route", bound=Callable[..., object])

ATTRIBUTE = "__operation__"
_NOT_THERE = "__not_there__"

JSON = "application/json"
FORM = "multipart/form-data"
TEXT = "text/plain"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"

# What a POST does when it is sent again.
Repeat = Literal["key", "reads", "same", "anew"]
# In whose form a route tells its problems: RFC 9457's, OpenAI's, JSON-RPC's.
Tells = Literal["Problem", "OpenAIError", "RpcError"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query or a header."""

    name: str
    schema: Schema
    description: str


@dataclass(frozen=True)
class Answer:
    """A good answer: its schema by media type (none: no body), and the headers that it may have."""

    content: Mapping[str, Schema] = field(default_factory=dict)
    description: str = ""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """The declaration of a route.

    body: schema by media type. problems: statuses beside those that the route has by its nature (its
    method, its path, its body). repeat: of a POST: whether an Idempotency-Key keeps it from being done
    twice ("key"), whether it creates nothing ("reads"), whether doing it twice is doing it once ("same") or
    whether each request is done for itself, since what it makes is told once and kept nowhere ("anew").
    paged: it has page_size and page_token. conditional: the answer has a strong ETag and If-None-Match is
    heard. matched: a change that hears If-Match. public: it needs no login. house_wide: it is of all tenants
    together, and for the administrators of the house's own. tells: the form of its problems.
    """

    answers: Mapping[int, Answer]
    body: Mapping[str, Schema] = field(default_factory=dict)
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    problems: frozenset[int] = frozenset()
    repeat: Repeat | None = None
    paged: bool = False
    conditional: bool = False
    matched: bool = False
    public: bool = False
    house_wide: bool = False
    tells: Tells = "Problem"


def operation(
    *,
    answers: Mapping[int, Answer],
    body: Mapping[str, Schema] | str | None = None,
    query: tuple[Parameter, ...] = (),
    headers: tuple[Parameter, ...] = (),
    problems: tuple[int, ...] = (),
    repeat: Repeat | None = None,
    paged: bool = False,
    conditional: bool = False,
    matched: bool = False,
    public: bool = False,
    house_wide: bool = False,
    tells: Tells = "Problem",
) -> Callable[[Route], Route]:
    """Declares a route; the function stays as it is. body: a component of JSON, or schemas by media type."""
    bodies = {JSON: reference(body)} if isinstance(body, str) else body or {}
    said = Operation(
        answers,
        bodies,
        query,
        headers,
        frozenset(problems),
        repeat,
        paged,
        conditional,
        matched,
        public,
        house_wide,
        tells,
    )

    def declare(route: Route) -> Route:
        setattr(route, ATTRIBUTE, said)
        return route

    return declare


def not_there(route: Route) -> Route:
    """Declares a route that answers for paths and methods that there are not; the document has none of it."""
    setattr(route, _NOT_THERE, True)
    return route


def is_not_there(route: Callable[..., object]) -> bool:
    """Whether a view function answers for what there is not."""
    return bool(getattr(route, _NOT_THERE, False))


def declared(route: Callable[..., object]) -> Operation | None:
    """What a view function says of itself; None when it says nothing."""
    found = getattr(route, ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def json(schema: str | Schema, *, headers: tuple[str, ...] = ()) -> Answer:
    """A JSON answer; a component by its name."""
    return Answer({JSON: reference(schema) if isinstance(schema, str) else schema}, headers=headers)


def created(schema: str) -> Answer:
    """A JSON answer of something new that Location names."""
    return json(schema, headers=("Location",))


def pages(name: str, schema: str) -> Answer:
    """A page of a list of components."""
    return json(page(name, reference(schema)))


def streams(schema: str, also: str = "") -> Answer:
    """Server-sent events whose data is this; `also`: JSON that is answered when no events are asked for."""
    content = {EVENTS: event_of(schema)}
    return Answer({JSON: reference(also), **content} if also else content)


def event_of(*schemas: str) -> Schema:
    """An event of a stream whose data is one of these, or the problem that ends it as the event `error`."""
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "For Last-Event-ID."},
            "event": {"type": "string"},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": {"anyOf": [*map(reference, schemas), reference("Problem")]},
            },
        },
        "required": ["event", "data"],
        "description": f"One event with {' or '.join(schemas)} as JSON, or the problem that ends it.",
    }


def messages(*schemas: str, last: str = "") -> Schema:
    """Events without names whose data is one of these; `last`: the word that ends them."""
    data: Schema = {
        "type": "string",
        "contentMediaType": JSON,
        "contentSchema": {"anyOf": list(map(reference, schemas))},
    }
    return {
        "type": "object",
        "properties": {"data": {"anyOf": [data, {"const": last}]} if last else data},
        "required": ["data"],
        "description": f"One event with {' or '.join(schemas)} as JSON"
        + (f"; {last} when all has been said." if last else "."),
    }


NOTHING = Answer(description="Done; there is nothing to say.")


def text_of(name: str, description: str) -> Parameter:
    """A parameter that is any text."""
    return Parameter(name, {"type": "string"}, description)
