"""What a snapshot of this service holds: all that is kept, as it is kept, a JSON object a line.

    {"kind": "session", "tenant": "local", "id": "ses_…", "expires": 1764108000000, "fields": {…}}
    {"kind": "messages", "tenant": "local", "id": "ses_…", "fields": {…}}

A session or run comes first, then what belongs to it, in as many lines as a bounded
line needs: messages and the requests that brought them, or events and the entries
of the run's journal. A thing ("item", of the id kind:name) stands alone, and so does
what is known of an attachment, whose bytes lie one behind the other in a part of their
own, in the order of these lines. A user stands alone with the hash of the password, and
so does an API key ("apikey") with the hash of its secret; tokens are in no snapshot. Each line of the log
("audit") of what was done to them stands alone too, by its place.
A webhook stands alone with its secrets, or the seeds of them, and without its messages.
Values are base64. `expires` is in milliseconds since 1970; 0 stands for never.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.chassis.errors import ServiceError
from services.session import records, validation
from services.session.failures import snapshot_invalid
from services.session.identity import naming
from services.session.identity.model import Action
from services.session.model import NewAttachment, NewItem, Payload, RunState
from services.session.webhooks import secret_making
from services.session.webhooks.model import DISABLED_REASONS
from services.session.webhooks.naming import event_types, label
from services.session.webhooks.reaching import target

# A line ends after this many bytes of values; one value has at most two messages' worth of bytes.
LINE_BYTES = 1_000_000
_MAX_LINE = 16_000_000

SESSION_FIELDS = (
    *("session_id", "title", "collection_ids", "metadata"),
    *("messages", "created", "updated", "expires"),
)
ITEM_FIELDS = ("kind", "name", "type", "value", "revision", "created", "updated")
# Without the name of its bytes, which another store gives anew.
ATTACHMENT_FIELDS = (
    *("attachment_id", "session_id", "run_id", "filename", "media_type"),
    *("bytes", "sha256", "created", "expires"),
)
USER_FIELDS = (
    *("user_id", "name", "folded", "role", "groups", "disabled", "password"),
    *("issuer", "external", "version", "created", "updated"),
)
API_KEY_FIELDS = ("api_key_id", "user_id", "label", "role", "sha256", "created", "used", "ends")
AUDIT_FIELDS = ("line",)
WEBHOOK_FIELDS = (
    *("webhook_id", "url", "label", "types", "answers", "secret", "enabled", "reason"),
    *("failing", "dropped", "old_until", "created", "updated"),
)
_SESSION_NAMES = frozenset(SESSION_FIELDS)
_RUN_NEEDED = frozenset(
    ("fingerprint", "run_id", "session_id", "agent_id", "state", "created", "first", "last", "bytes")
)
_JOURNAL = frozenset(("journal_last", "journal_bytes"))
_RUN_NAMES = (
    _RUN_NEEDED | _JOURNAL | {"request_type", "request", "owner", "parent", "ended", "takeovers", "usage"}
)
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")
_MESSAGE = re.compile(r"m([1-9][0-9]{0,15})")
_EVENT = re.compile(r"e([1-9][0-9]{0,15})")
_ENTRY = re.compile(r"j([1-9][0-9]{0,15})")
_RANGE = re.compile(rb"([1-9][0-9]{0,15}):([1-9][0-9]{0,15})")
_EXTERNAL = re.compile(r"([0-9a-f]{64})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A place, a moment, and what was done.
_DEED = re.compile(r"([1-9][0-9]{0,15}) [1-9][0-9]{0,19} (\[.*\])", re.DOTALL)
_FINGERPRINT_BYTES = 32

# What reading bytes that somebody else wrote can end with.
MALFORMED = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError),
    struct.error,
)

HEADS = {"session": "messages", "run": "events"}
# What stands alone.
IDENTITY = ("user", "apikey", "audit")
_ALONE = ("item", "attachment", *IDENTITY, "webhook")
# What came with schema 5.
OF_FIVE = (*IDENTITY, "webhook")
KINDS = (*HEADS, *_ALONE)
COUNTED = (
    *("sessions", "messages", "runs", "events", "items", "attachments"),
    *(f"{kind}s" for kind in OF_FIVE),
)
_PARTS = {part: head for head, part in HEADS.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """A session, run or thing, or some of what belongs to the one before.

    kind: one of KINDS, messages or events. fields: as the store keeps them. expires: milliseconds since
    1970, 0 for never; 0 also in what belongs to another.
    """

    kind: str
    tenant: str
    entry_id: str
    expires: int
    fields: Mapping[str, bytes]

    @property
    def head(self) -> bool:
        """It belongs to nothing."""
        return self.kind in KINDS

    @property
    def size(self) -> int:
        """Bytes of its names and values."""
        return sum(len(name) + len(value) for name, value in self.fields.items())


def lasting(head: Entry, later: int) -> Entry:
    """One that expires `later` milliseconds later than this one says, if it ever does."""
    if not later:
        return head
    if head.kind == "attachment":
        return _lasting_attachment(head, later)
    if not head.expires:
        return head
    fields = dict(head.fields)
    if head.kind == "session":
        # What callers are told of it, in microseconds.
        fields["expires"] = b"%d" % (int(fields["expires"]) + later * 1000)
    return replace(head, expires=head.expires + later, fields=fields)


def _lasting_attachment(head: Entry, later: int) -> Entry:
    """One that belongs to a session (0) goes with that."""
    expires = int(head.fields["expires"])
    moved = b"%d" % (expires + later * 1000 if expires else 0)
    return replace(head, fields={**head.fields, "expires": moved})


def parted(whole: Entry) -> Iterator[Entry]:
    """All fields of a session or run as a head and parts of about LINE_BYTES; what stands alone as it is."""
    if whole.kind in _ALONE:
        yield whole
        return
    heads = _SESSION_NAMES if whole.kind == "session" else _RUN_NAMES
    head = {name: value for name, value in whole.fields.items() if name in heads}
    yield Entry(whole.kind, whole.tenant, whole.entry_id, whole.expires, head)
    rest = {name: value for name, value in whole.fields.items() if name not in heads}
    yield from parts(whole.kind, whole.tenant, whole.entry_id, rest)


def parts(kind: str, tenant: str, entry_id: str, fields: Mapping[str, bytes]) -> Iterator[Entry]:
    """What belongs to a session or run (`kind`), in parts of about LINE_BYTES."""
    part: dict[str, bytes] = {}
    size = 0
    for name, value in fields.items():
        part[name] = value
        size += len(name) + len(value)
        if size >= LINE_BYTES:
            yield Entry(HEADS[kind], tenant, entry_id, 0, part)
            part, size = {}, 0
    if part:
        yield Entry(HEADS[kind], tenant, entry_id, 0, part)


def belongs_to(fields: Mapping[str, bytes], messages: int) -> dict[str, bytes]:
    """Those of the fields of a session that its first `messages` messages brought."""
    kept = {}
    for name, value in fields.items():
        if number := _MESSAGE.fullmatch(name):
            if int(number[1]) <= messages:
                kept[name] = value
        elif name not in _SESSION_NAMES:
            place = _RANGE.fullmatch(value, _FINGERPRINT_BYTES)
            if place and int(place[2]) <= messages:
                kept[name] = value
    return kept


def line(entry: Entry) -> bytes:
    """An entry as a line."""
    said: dict[str, Any] = {"kind": entry.kind, "tenant": entry.tenant, "id": entry.entry_id}
    if entry.head:
        said["expires"] = entry.expires
    said["fields"] = {name: base64.b64encode(value).decode() for name, value in entry.fields.items()}
    return json.dumps(said).encode() + b"\n"


def entries_of(path: Path) -> Iterator[Entry]:
    """The entries of a file. Raises InvalidArgumentError (SNAPSHOT_INVALID) at a line that is none."""
    with path.open("rb") as stream:
        number = 0
        while text := stream.readline(_MAX_LINE):
            number += 1
            try:
                yield _entry(text)
            except MALFORMED:
                raise _wrong(f"line {number} cannot be read") from None


def _entry(text: bytes) -> Entry:
    if not text.endswith(b"\n"):
        raise ValueError("no end")
    said: Any = json.loads(text)
    kind, tenant, entry_id = said["kind"], said["tenant"], said["id"]
    if kind not in KINDS and kind not in _PARTS:
        raise ValueError("an unknown kind")
    expected = {"kind", "tenant", "id", "fields", *(("expires",) if kind in KINDS else ())}
    if set(said) != expected:
        raise ValueError("other members")
    expires = said.get("expires", 0)
    if type(expires) is not int or not 0 <= expires < 1 << 53:
        raise ValueError("no time")
    if not isinstance(tenant, str) or not isinstance(entry_id, str):
        raise TypeError("ids are text")
    fields = {name: base64.b64decode(value, validate=True) for name, value in said["fields"].items()}
    return Entry(kind, tenant, entry_id, expires, fields)


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of an attachment, as what is known of it says. sha256: in hexadecimal."""

    tenant: str
    attachment_id: str
    size: int
    sha256: str


@dataclass
class Verification:
    """Takes entries one by one and refuses what this service would not have written.

    counts: of what has been seen, by kind. files: of attachments, in their order. subject: the head that was
    looked at last, or that something belongs to that was. Raises InvalidArgumentError (SNAPSHOT_INVALID).
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    subject: Entry | None = None
    files: list[File] = field(default_factory=list)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)
    _open: Entry | None = None
    _wanted: range = range(0)
    _numbers: set[int] = field(default_factory=set)
    _journal: range = range(0)
    _positions: set[int] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        """The next entry."""
        try:
            if entry.head:
                self.finish()
                self.subject = entry
                self._begin(entry)
            else:
                self._continue(entry)
        except (ServiceError, *MALFORMED) as error:
            if isinstance(error, ServiceError) and error.reason == "SNAPSHOT_INVALID":
                raise
            raise _wrong(f"a {entry.kind} entry is not as this service writes it") from None

    def finish(self) -> None:
        """Nothing follows, or nothing that belongs to the last session or run."""
        if self._open is None:
            return
        if len(self._numbers) != len(self._wanted):
            raise _wrong(f"{HEADS[self._open.kind]} of a {self._open.kind} are missing")
        if len(self._positions) != len(self._journal):
            raise _wrong("entries of the journal of a run are missing")
        self.counts[HEADS[self._open.kind]] += len(self._numbers)
        self._open = None

    def _begin(self, entry: Entry) -> None:
        validation.space("tenant", entry.tenant)
        key = (entry.kind, entry.tenant, entry.entry_id)
        if key in self._seen:
            raise _wrong(f"a {entry.kind} comes twice")
        self._seen.add(key)
        self._numbers, self._positions, self._names = set(), set(), set()
        match entry.kind:
            case "session":
                self._begin_session(entry)
            case "run":
                self._begin_run(entry)
            case "attachment":
                self._take_attachment(entry)
            case "user":
                self._take_user(entry)
            case "apikey":
                self._take_api_key(entry)
            case "audit":
                self._take_audit(entry)
            case "webhook":
                self._take_webhook(entry)
            case _:
                self._take_item(entry)
        self.counts[entry.kind + "s"] += 1

    def _begin_session(self, entry: Entry) -> None:
        fields = entry.fields
        validation.identifier("id", entry.entry_id)
        if set(fields) != _SESSION_NAMES or fields["session_id"].decode() != entry.entry_id:
            raise ValueError("other fields")
        fields["title"].decode()
        if not isinstance(json.loads(fields["collection_ids"]), list):
            raise ValueError("no list")
        if not isinstance(json.loads(fields["metadata"]), dict):
            raise ValueError("no object")
        for name in ("created", "updated", "expires"):
            _number(fields[name])
        self._open, self._journal = entry, range(0)
        self._wanted = range(1, _number(fields["messages"]) + 1)

    def _begin_run(self, entry: Entry) -> None:
        fields, names = entry.fields, set(entry.fields)
        validation.run_id("id", entry.entry_id)
        if not _RUN_NEEDED <= names <= _RUN_NAMES or fields["run_id"].decode() != entry.entry_id:
            raise ValueError("other fields")
        if ("request" in names) != ("request_type" in names):
            raise ValueError("half a request")
        validation.optional_identifier("session_id", fields["session_id"].decode())
        validation.identifier("agent_id", fields["agent_id"].decode())
        fields.get("request_type", b"").decode()
        RunState(fields["state"].decode())
        for name in ("created", "bytes", *(("ended",) if "ended" in names else ())):
            _number(fields[name])
        self._wanted = range(_number(fields["first"]), _number(fields["last"]) + 1)
        if names & _JOURNAL and not names >= _JOURNAL:
            raise ValueError("half a journal")
        for name in names & (_JOURNAL | {"takeovers"}):
            _number(fields[name])
        if "usage" in names:
            validation.usage(records.usage(fields["usage"]))
        self._journal = range(1, _number(fields.get("journal_last", b"0")) + 1)
        self._open = entry

    def _take_attachment(self, entry: Entry) -> None:
        fields = entry.fields
        text = {name: value.decode() for name, value in fields.items()}
        if set(fields) != set(ATTACHMENT_FIELDS) or text["attachment_id"] != entry.entry_id or entry.expires:
            raise ValueError("other fields")
        size, _, _ = (_number(fields[name]) for name in ("bytes", "created", "expires"))
        validation.identifier("id", entry.entry_id)
        given = NewAttachment(
            entry.entry_id,
            text["session_id"],
            text["run_id"],
            text["filename"],
            text["media_type"],
            size,
            text["sha256"],
        )
        if not given.sha256 or validation.new_attachment(given) != given:
            raise ValueError("other values")
        if not given.session_id and fields["expires"] == b"0":
            raise ValueError("it never expires")
        self.files.append(File(entry.tenant, entry.entry_id, size, given.sha256))

    def _take_user(self, entry: Entry) -> None:
        fields = entry.fields
        text = {name: value.decode() for name, value in fields.items()}
        if set(fields) != set(USER_FIELDS) or text["user_id"] != entry.entry_id or entry.expires:
            raise ValueError("other fields")
        naming.identifier("id", entry.entry_id)
        if naming.name("name", text["name"]) != text["name"] or naming.folded(text["name"]) != text["folded"]:
            raise ValueError("another name")
        naming.role("role", text["role"])
        groups = json.loads(text["groups"])
        if list(naming.groups("groups", groups)) != groups or text["disabled"] not in ("0", "1"):
            raise ValueError("other values")
        if text["password"] and not text["password"].startswith("$argon2id$"):
            raise ValueError("no hash")
        if bool(text["issuer"]) != bool(text["external"]) or not _EXTERNAL.fullmatch(text["external"]):
            raise ValueError("half a provider")
        for name in ("version", "created", "updated"):
            _number(fields[name])
        for taken in (
            ("name", text["folded"]),
            *([("external", text["external"])] if text["issuer"] else []),
        ):
            key = (taken[0], entry.tenant, taken[1])
            if key in self._seen:
                raise _wrong("two users have one name")
            self._seen.add(key)

    @staticmethod
    def _take_api_key(entry: Entry) -> None:
        fields = entry.fields
        text = {name: value.decode() for name, value in fields.items()}
        if set(fields) != set(API_KEY_FIELDS) or text["api_key_id"] != entry.entry_id or entry.expires:
            raise ValueError("other fields")
        naming.identifier("id", entry.entry_id)
        naming.identifier("user_id", text["user_id"])
        naming.role("role", text["role"])
        if naming.label("label", text["label"]) != text["label"] or not _SHA256.fullmatch(text["sha256"]):
            raise ValueError("other values")
        for name in ("created", "used", "ends"):
            _number(fields[name])

    @staticmethod
    def _take_audit(entry: Entry) -> None:
        if set(entry.fields) != set(AUDIT_FIELDS) or entry.expires:
            raise ValueError("other fields")
        line = entry.fields["line"].decode()
        found = _DEED.fullmatch(line)
        if found is None or found[1] != entry.entry_id:
            raise ValueError("no line of a log")
        actor, action, target, details = json.loads(found[2])
        if not all(isinstance(word, str) for word in (actor, action, target)) or not isinstance(
            details, dict
        ):
            raise ValueError("no deed")
        Action(action)

    @staticmethod
    def _take_webhook(entry: Entry) -> None:
        fields = entry.fields
        text = {name: value.decode() for name, value in fields.items()}
        before = text.pop("old_secret", None)
        if set(text) != set(WEBHOOK_FIELDS) or text["webhook_id"] != entry.entry_id or entry.expires:
            raise ValueError("other fields")
        validation.identifier("id", entry.entry_id)
        target("url", text["url"])
        types = text["types"].split(" ")
        if list(event_types(types)) != types or label("label", text["label"]) != text["label"]:
            raise ValueError("other values")
        if {text["answers"], text["enabled"]} - {"0", "1"} or text["reason"] not in DISABLED_REASONS:
            raise ValueError("other values")
        for secret in (text["secret"], *(() if before is None else (before,))):
            secret_making.check(secret)
        for name in ("failing", "dropped", "old_until", "created", "updated"):
            _number(fields[name])

    @staticmethod
    def _take_item(entry: Entry) -> None:
        fields = entry.fields
        kind, name = fields["kind"].decode(), fields["name"].decode()
        if set(fields) != set(ITEM_FIELDS) or entry.entry_id != f"{kind}:{name}" or entry.expires:
            raise ValueError("other fields")
        validation.new_item(NewItem(kind, name, Payload(fields["type"].decode(), fields["value"])))
        for number in ("revision", "created", "updated"):
            _number(fields[number])

    def _continue(self, entry: Entry) -> None:
        opened = self._open
        if opened is None or (_PARTS[entry.kind], entry.tenant, entry.entry_id) != (
            opened.kind,
            opened.tenant,
            opened.entry_id,
        ):
            raise _wrong(f"{entry.kind} stand without what they belong to")
        for name, value in entry.fields.items():
            if name in self._names:
                raise _wrong(f"{entry.kind} come twice")
            self._names.add(name)
            if number := (_MESSAGE if entry.kind == "messages" else _EVENT).fullmatch(name):
                place = int(number[1])
                if place not in self._wanted:
                    raise ValueError("beyond the last")
                (records.message if entry.kind == "messages" else records.event)(value, place)
                self._numbers.add(place)
            elif entry.kind == "events" and (number := _ENTRY.fullmatch(name)):
                place = int(number[1])
                if place not in self._journal:
                    raise ValueError("beyond the last")
                records.entry(value, place)
                self._positions.add(place)
            elif entry.kind == "messages" and name[:1] == "r":
                validation.request_id(name[1:])
                place_of = _RANGE.fullmatch(value, _FINGERPRINT_BYTES)
                if not place_of or not int(place_of[1]) <= int(place_of[2]) <= len(self._wanted):
                    raise ValueError("no range")
            else:
                raise ValueError("an unknown field")


def verify(path: Path, counts: Mapping[str, int]) -> list[File]:
    """Reads a whole file; the files that belong to it.

    counts: a kind that an earlier release did not know is not there. Raises InvalidArgumentError
    (SNAPSHOT_INVALID) unless all of it may be kept.
    """
    verification = Verification()
    for entry in entries_of(path):
        verification.take(entry)
    verification.finish()
    if dict.fromkeys(COUNTED, 0) | dict(counts) != verification.counts:
        raise _wrong("it does not hold what its header counts")
    return verification.files


def _number(value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError("no number")
    return int(value)


def _wrong(problem: str) -> ServiceError:
    return snapshot_invalid(problem)
