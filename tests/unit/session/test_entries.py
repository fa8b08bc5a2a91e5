"""The lines of a snapshot: they come back as they were, and nothing else is taken."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.chassis.errors import InvalidArgumentError
from services.session import entries, records
from services.session.entries import Entry, File
from services.session.model import NewMessage, Payload, Role, RunEntry, RunEvent

RUN = "run_" + "0" * 26
MESSAGE = struct.pack(">d", 5) + records.message_fields(NewMessage("msg_1", Role.USER, "hi", "", "", b""))
EVENT = records.event_record(RunEvent(1, Payload("type", b"value"), 7))
NOTED = records.entry_record(RunEntry(1, Payload("type", b"learnt")))

SESSION = Entry(
    "session",
    "local",
    "ses_1",
    2_000,
    {
        "session_id": b"ses_1",
        "title": "ü".encode(),
        "collection_ids": b"[]",
        "metadata": b"{}",
        "messages": b"2",
        "created": b"1",
        "updated": b"2",
        "expires": b"3",
    },
)
MESSAGES = Entry(
    "messages", "local", "ses_1", 0, {"m1": MESSAGE, "m2": MESSAGE, "rany name ü": b"f" * 32 + b"1:2"}
)
OPENED = Entry(
    "run",
    "local",
    RUN,
    0,
    {
        "fingerprint": b"f" * 32,
        "run_id": RUN.encode(),
        "session_id": b"",
        "agent_id": b"research",
        "state": b"running",
        "created": b"1",
        "first": b"3",
        "last": b"4",
        "bytes": b"60",
        "takeovers": b"1",
        "journal_last": b"2",
        "journal_bytes": b"50",
    },
)
EVENTS = Entry("events", "local", RUN, 0, {"e3": EVENT, "e4": EVENT, "j1": NOTED, "j2": NOTED})
ITEM = Entry(
    "item",
    "local",
    "workflow:plan-1",
    0,
    {
        "kind": b"workflow",
        "name": b"plan-1",
        "type": b"type",
        "value": b"\0value",
        "revision": b"2",
        "created": b"1",
        "updated": b"2",
    },
)
ATTACHMENT = Entry(
    "attachment",
    "local",
    "att_1",
    0,
    {
        "attachment_id": b"att_1",
        "session_id": b"",
        "run_id": RUN.encode(),
        "filename": "fünf.png".encode(),
        "media_type": b"image/png",
        "bytes": b"7",
        "sha256": b"0f" * 32,
        "created": b"1",
        "expires": b"2000",
    },
)
USER = Entry(
    "user",
    "home",
    "usr_1",
    0,
    {
        "user_id": b"usr_1",
        "name": "Zoë".encode(),
        "folded": "zoë".encode(),
        "role": b"owner",
        "groups": b'["a", "b"]',
        "disabled": b"0",
        "password": b"$argon2id$v=19$...",
        "issuer": b"",
        "external": b"",
        "version": b"3",
        "created": b"1",
        "updated": b"2",
    },
)
API_KEY = Entry(
    "apikey",
    "home",
    "0123456789abcdef",
    0,
    {
        "api_key_id": b"0123456789abcdef",
        "user_id": b"usr_1",
        "label": b"my script",
        "role": b"member",
        "sha256": b"0f" * 32,
        "created": b"1",
        "used": b"0",
        "ends": b"0",
    },
)
DEED = b'7 1764108000000000 ["usr_1", "create_user", "usr_2", {"role": "member"}]'
AUDIT = Entry("audit", "local", "7", 0, {"line": DEED})
WEBHOOK = Entry(
    "webhook",
    "home.usr_1",
    "whk_1",
    0,
    {
        "webhook_id": b"whk_1",
        "url": b"https://ci.example.org/hook?id=1",
        "label": b"CI",
        "types": b"run.finished",
        "answers": b"0",
        "secret": b"whsec_" + b"A" * 43 + b"=",
        "old_secret": b"whsec_" + b"B" * 42 + b"A=",
        "enabled": b"0",
        "reason": b"gone",
        "failing": b"3",
        "dropped": b"0",
        "old_until": b"4",
        "created": b"1",
        "updated": b"2",
    },
)
ALL = (SESSION, MESSAGES, OPENED, EVENTS, ITEM, ATTACHMENT, USER, API_KEY, AUDIT, WEBHOOK)
COUNTS = {
    "sessions": 1,
    "messages": 2,
    "runs": 1,
    "events": 2,
    "items": 1,
    "attachments": 1,
    "users": 1,
    "apikeys": 1,
    "audits": 1,
    "webhooks": 1,
}


def written(folder: Path, lines: Sequence[bytes]) -> Path:
    path = folder / "records.ndjson"
    path.write_bytes(b"".join(lines))
    return path


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    path = written(tmp_path, [entries.line(entry) for entry in ALL])

    assert entries.verify(path, COUNTS) == [File("local", "att_1", 7, "0f" * 32)]
    assert tuple(entries.entries_of(path)) == ALL


def test_a_large_entry_is_parted_and_nothing_is_lost() -> None:
    fields = {f"m{n}": b"x" * 300_000 for n in range(1, 11)}
    whole = replace(SESSION, fields={**SESSION.fields, **fields})

    head, *rest = entries.parted(whole)

    assert head == SESSION
    assert len(rest) > 1
    assert max(part.size for part in rest) < entries.LINE_BYTES + 300_010
    assert {name: value for part in rest for name, value in part.fields.items()} == fields


def test_what_came_after_the_head_was_read_does_not_belong_to_it() -> None:
    fields = {**MESSAGES.fields, "m3": MESSAGE, "rlater": b"f" * 32 + b"3:3", "title": b"other"}

    assert entries.belongs_to(fields, 2) == MESSAGES.fields


def changed(entry: Entry, **fields: bytes | None) -> Entry:
    """An entry with other fields; None takes one away."""
    merged = {**entry.fields, **fields}
    return replace(entry, fields={name: value for name, value in merged.items() if value is not None})


WRONG: dict[str, Sequence[Entry]] = {
    "a user twice": (USER, USER),
    "two users of one name": (USER, changed(replace(USER, entry_id="usr_2"), user_id=b"usr_2")),
    "a user under another id": (changed(USER, user_id=b"usr_2"),),
    "a user whose id is a key": (changed(replace(USER, entry_id="a:b"), user_id=b"a:b"),),
    "a user with a line end": (changed(USER, name=b"a\n", folded=b"a\n"),),
    "a user who is compared as another": (changed(USER, folded=b"eve"),),
    "a user of no role": (changed(USER, role=b"emperor"),),
    "a user with a password as it is": (changed(USER, password=b"the tide comes at nine"),),
    "a user in groups that are none": (changed(USER, groups=b'"ab"'),),
    "a user in unsorted groups": (changed(USER, groups=b'["b", "a"]'),),
    "a user who is half disabled": (changed(USER, disabled=b"2"),),
    "a user of half a provider": (changed(USER, issuer=b"https://id.example"),),
    "a user without a version": (changed(USER, version=None),),
    "a user who expires": (replace(USER, expires=5),),
    "a key twice": (API_KEY, API_KEY),
    "a key under another id": (changed(API_KEY, api_key_id=b"1"),),
    "a key with its secret": (changed(API_KEY, sha256=b"mrk_home-1_secret"),),
    "a key of no role": (changed(API_KEY, role=b""),),
    "a key of nobody": (changed(API_KEY, user_id=b""),),
    "a key with another field": (changed(API_KEY, secret=b"x"),),
    "a line of the log twice": (AUDIT, AUDIT),
    "a line of the log in another place": (replace(AUDIT, entry_id="8"),),
    "a line of the log that is none": (changed(AUDIT, line=b"7 1764108000000000 {}"),),
    "a line of the log that tells of nothing": (changed(AUDIT, line=DEED.replace(b"create_user", b"x")),),
    "a line of the log without its time": (changed(AUDIT, line=DEED.replace(b"1764108000000000 ", b"")),),
    "a line of the log that expires": (replace(AUDIT, expires=5),),
    "a webhook twice": (WEBHOOK, WEBHOOK),
    "a webhook under another id": (changed(WEBHOOK, webhook_id=b"whk_2"),),
    "a webhook to a file": (changed(WEBHOOK, url=b"file:///etc/passwd"),),
    "a webhook with a line end": (changed(WEBHOOK, label=b"a\n"),),
    "a webhook of nothing": (changed(WEBHOOK, types=b""),),
    "a webhook of what there is not": (changed(WEBHOOK, types=b"run.started"),),
    "a webhook that is half on": (changed(WEBHOOK, enabled=b"2"),),
    "a webhook that is off for no reason that there is": (changed(WEBHOOK, reason=b"tired"),),
    "a webhook with a short secret": (changed(WEBHOOK, secret=b"whsec_QUJD"),),
    "a webhook without a secret": (changed(WEBHOOK, secret=None),),
    "a webhook that expires": (replace(WEBHOOK, expires=5),),
    "a thing twice": (ITEM, ITEM),
    "an attachment twice": (ATTACHMENT, ATTACHMENT),
    "an attachment without a hash": (changed(ATTACHMENT, sha256=b""),),
    "an attachment with the name of its bytes": (changed(ATTACHMENT, file=b"local.att_1.0"),),
    "an attachment under another id": (changed(ATTACHMENT, attachment_id=b"att_2"),),
    "an attachment with a path": (changed(ATTACHMENT, filename=b"../a"),),
    "an attachment of no size": (changed(ATTACHMENT, bytes=b"-1"),),
    "an attachment that never expires": (changed(ATTACHMENT, expires=b"0"),),
    "a thing without its value": (changed(ITEM, value=None),),
    "a thing under another name": (changed(ITEM, name=b"plan-2"),),
    "a thing of no kind": (changed(replace(ITEM, entry_id=":plan-1"), kind=b""),),
    "a thing that expires": (replace(ITEM, expires=5),),
    "a thing without a revision": (changed(ITEM, revision=b"x"),),
    "events of a thing": (ITEM, replace(EVENTS, entry_id="workflow:plan-1")),
    "twice": (SESSION, MESSAGES, SESSION, MESSAGES),
    "a message is missing": (SESSION, changed(MESSAGES, m2=None)),
    "a message too many": (SESSION, changed(MESSAGES, m3=MESSAGE)),
    "a damaged message": (SESSION, changed(MESSAGES, m2=MESSAGE[:-1])),
    "a message that is empty": (SESSION, changed(MESSAGES, m2=b"")),
    "a time that is none": (SESSION, changed(MESSAGES, m2=struct.pack(">d", float("inf")) + MESSAGE[8:])),
    "a request for messages that are not there": (SESSION, changed(MESSAGES, r1=b"f" * 32 + b"2:3")),
    "a request without its fingerprint": (SESSION, changed(MESSAGES, r1=b"1:2")),
    "another field": (SESSION, changed(MESSAGES, x1=b"")),
    "messages of another session": (SESSION, replace(MESSAGES, entry_id="ses_2")),
    "messages of nobody": (MESSAGES,),
    "messages in a run": (OPENED, replace(MESSAGES, entry_id=RUN)),
    "messages in two lines twice": (SESSION, MESSAGES, changed(MESSAGES, m2=None)),
    "a session with a missing field": (changed(SESSION, title=None), MESSAGES),
    "a session with another field": (changed(SESSION, more=b""), MESSAGES),
    "a session under another id": (replace(SESSION, entry_id="ses_2"),),
    "an id that leaves its key": (
        replace(changed(SESSION, session_id=b"a:b", messages=b"0"), entry_id="a:b"),
    ),
    "a tenant that leaves its key": (replace(changed(SESSION, messages=b"0"), tenant="a}:{b"),),
    "a title that is no text": (changed(SESSION, title=b"\xff", messages=b"0"),),
    "collections that are no list": (changed(SESSION, collection_ids=b"{}", messages=b"0"),),
    "a number that is none": (changed(SESSION, created=b"soon", messages=b"0"),),
    "a count beyond all messages": (changed(SESSION, messages=b"900000000000000"), MESSAGES),
    "an event is missing": (OPENED, changed(EVENTS, e3=None)),
    "an event too many": (OPENED, changed(EVENTS, e2=EVENT)),
    "a state that is none": (changed(OPENED, state=b"asleep"), EVENTS),
    "a run id that is none": (replace(changed(OPENED, run_id=b"r"), entry_id="r"), EVENTS),
    "an entry is missing": (OPENED, changed(EVENTS, j1=None)),
    "an entry too many": (OPENED, changed(EVENTS, j3=NOTED)),
    "a damaged entry": (OPENED, changed(EVENTS, j2=NOTED[:-1])),
    "entries without a journal": (changed(OPENED, journal_last=None, journal_bytes=None), EVENTS),
    "half a journal": (changed(OPENED, journal_bytes=None), EVENTS),
    "entries of a session": (SESSION, changed(MESSAGES, j1=NOTED)),
    "half a request": (changed(OPENED, request=b"x"), EVENTS),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_this_service_would_not_write_is_refused(tmp_path: Path, case: str) -> None:
    path = written(tmp_path, [entries.line(entry) for entry in WRONG[case]])

    with pytest.raises(InvalidArgumentError) as refused:
        entries.verify(path, COUNTS)

    assert refused.value.reason == "SNAPSHOT_INVALID"
    assert "what its header counts" not in refused.value.message


def test_an_attachment_lasts_as_long_again_unless_its_session_says_so() -> None:
    assert entries.lasting(ATTACHMENT, 3).fields["expires"] == b"5000"
    of_session = changed(ATTACHMENT, session_id=b"ses_1", expires=b"0")
    assert entries.lasting(of_session, 3) == of_session


def test_what_an_earlier_release_did_not_know_is_not_counted(tmp_path: Path) -> None:
    path = written(tmp_path, [entries.line(entry) for entry in (SESSION, MESSAGES)])
    known = {"sessions": 1, "messages": 2, "runs": 0, "events": 0}

    entries.verify(path, known)
    with pytest.raises(InvalidArgumentError, match="counts"):
        entries.verify(written(tmp_path, [entries.line(entry) for entry in (SESSION, MESSAGES, ITEM)]), known)


def test_other_counts_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [entries.line(entry) for entry in ALL])

    for counts in ({**COUNTS, "events": 3}, {}, {**COUNTS, "rooms": 0}):
        with pytest.raises(InvalidArgumentError, match="counts"):
            entries.verify(path, counts)


CHANGES: Sequence[Callable[[dict[str, object]], object]] = (
    lambda said: said.update(kind="room"),
    lambda said: said.update(kind=["session"]),
    lambda said: said.update(more=1),
    lambda said: said.pop("expires"),
    lambda said: said.update(expires="soon"),
    lambda said: said.update(expires=-1),
    lambda said: said.update(expires=True),
    lambda said: said.update(id=5),
    lambda said: said.update(tenant=None),
    lambda said: said.update(fields=[]),
    lambda said: said.update(fields={"title": "no base64"}),
    lambda said: said.update(fields={"title": 5}),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_line_that_is_none_is_refused(
    tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    said = json.loads(entries.line(SESSION))
    change(said)

    with pytest.raises(InvalidArgumentError, match="line 1"):
        list(entries.entries_of(written(tmp_path, [json.dumps(said).encode() + b"\n"])))


@pytest.mark.parametrize(
    "text", [b"\n", b"[]\n", b"null\n", b"{\n", b"[" * 100_000 + b"\n", b"\xff\n", b"{}"]
)
def test_a_line_that_is_no_object_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="line 1"):
        list(entries.entries_of(written(tmp_path, [text])))
