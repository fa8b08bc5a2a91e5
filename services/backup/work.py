"""What the program does: make a backup, check one, go back to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.backup import counting
from services.backup import folder as folders
from services.backup.canaries import Canaries, Canary
from services.backup.clients import Keeper, Keepers, contracts
from services.backup.contents import Contents
from services.backup.conversations import Conversation, Conversations
from services.backup.copying import file_of
from services.backup.failure import BackupError, BusyError, DiffersError
from services.backup.making import Say, begun, counted
from services.chassis.errors import ServiceError
from services.chassis.lock import InUseError, lock_directory
from services.chassis.start import StartError

# The stage of a restore (documents, sessions, comparing), how many bytes of it are done, how many there are.
Seen = Callable[[str, int, int], None]

# The index of a restored record may have to be built first.
_RESTORED_SECONDS = 600.0


def create(parent: Path, keepers: Keepers, key: bytes, keep: int | None, say: Say) -> Path:
    """Makes a backup below `parent`; its folder. Raises BackupError, and leaves nothing then."""
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock_directory(parent), folders.partial(parent, folders.now()) as partial:
            with begun(keepers, key, say) as making:
                for file in making.files():
                    folders.write(partial, file.name, file.pieces)
            folders.verify(partial, key)
            done = folders.complete(partial)
            for removed in folders.prune(parent, keep) if keep else ():
                say(f"removed {removed}")
            return done
    except InUseError as error:
        raise BusyError(str(error)) from None
    except StartError as error:
        raise BackupError(str(error)) from None
    except OSError as error:
        raise BackupError(f"{error.filename or parent}: {error.strerror}") from None


def verify(folder: Path, key: bytes, say: Say, seen: folders.Seen | None = None) -> Contents:
    """Checks a backup without any service. Raises BackupError with all that is wrong."""
    contents = folders.verify(folder, key, seen)
    say(f"made {contents.created_time.isoformat()}")
    for name, copy in contents.copies.items():
        say(f"{name}: {copy.size} bytes, {counted(copy.counts)}, whole")
    return contents


def restore(folder: Path, keepers: Keepers, key: bytes, say: Say) -> None:
    """Goes back to a backup that is found to be whole. Raises BackupError."""
    contents = verify(folder, key, say)
    go_back(folder, contents, keepers, say)


def go_back(
    folder: Path, contents: Contents, keepers: Keepers, say: Say, seen: Seen | None = None
) -> dict[str, int]:
    """Goes back to a verified backup, counts what is there then and asks its canaries: what there is then,
    by kind. Raises BackupError.

    Documents come first: they are the larger part, and sessions cite them. Nothing was changed when the
    first import fails. seen: told how far it is.
    """
    tell = seen or _nobody
    if contents.contracts != contracts():
        say("the backup was made by another release; the services decide whether they can read it")
    for keeper in (keepers.vector, keepers.session):
        keeper.wait_healthy()
    kept: dict[str, int] = {}
    for keeper, stage in ((keepers.vector, "documents"), (keepers.session, "sessions")):
        path = folder / file_of(keeper.name)
        total = path.stat().st_size
        tell(stage, 0, total)
        try:
            kept[keeper.name] = keeper.restore(path, lambda done, of=(stage, total): tell(of[0], done, of[1]))  # type: ignore[misc]
        except ServiceError as error:
            raise BackupError(*_state(keeper, kept, error), cause=error) from None
        say(f"{keeper.name}: restored")
    tell("comparing", 0, 0)
    wrong = _wrong_taken(contents, kept)
    there: dict[str, int] = {}
    try:
        # Sessions first: they expire, and the index of the documents may have to be built.
        keepers.session.wait_healthy(_RESTORED_SECONDS)
        wrong += _wrong_sessions(contents, keepers.session.stub, say, there)
        keepers.vector.wait_healthy(_RESTORED_SECONDS)
        wrong += _wrong_documents(contents, keepers.vector.stub, say, there)
        wrong += _wrong_answers(Canaries(keepers.vector.stub), contents.canaries)
    except ServiceError as error:
        wrong.append(f"what is there cannot be compared: {error.message} ({error.reason})")
    if wrong:
        raise DiffersError("both services were restored, and answer otherwise than the backup says:", *wrong)
    say(
        f"canaries: {len(contents.canaries)} queries found what they found before, "
        f"{len(contents.conversations)} conversations are as they were"
    )
    return there


def _nobody(_stage: str, _done: int, _total: int) -> None:
    return None


def _state(keeper: Keeper, kept: dict[str, int], error: ServiceError) -> list[str]:
    """How things stand after a failed import, and how to go on."""
    # Whether an import whose answer did not arrive went through is not known here.
    unknown = error.reason.startswith(("UPSTREAM_", "DEADLINE", "STORE_UNAVAILABLE", "CANCELLED"))
    outcome = "has either what it had before or the backup, wholly" if unknown else "has what it had before"
    lines = [
        f"the {keeper.name} service at {keeper.address} did not take the backup: "
        f"{error.message} ({error.reason})",
        f"the {keeper.name} service {outcome}",
    ]
    if kept:
        lines.append("the vector service has the documents of the backup")
    else:
        lines.append("the session service was not touched")
    return [*lines, "restore the same backup again when the cause is gone: it brings both to it"]


def _wrong_taken(contents: Contents, kept: Mapping[str, int]) -> list[str]:
    """Where the services say of what they took that it was something else."""
    wrong = []
    for keeper, kind in (("vector", "documents"), ("session", "sessions")):
        copied = contents.copies[keeper].counts.get(kind, kept[keeper])
        if kept[keeper] != copied:
            wrong.append(f"{kind}: {kept[keeper]} were taken, and {copied} are in the backup")
    return wrong


def _wrong_documents(contents: Contents, stub: Any, say: Say, counts: dict[str, int]) -> list[str]:
    """Compares what the vector service lists. There may be more: embedding goes on, and so do callers."""
    copied = _visible(contents, "vector")
    try:
        there = counting.documents(stub)
    except counting.TooManyError:
        say("vector: too many collections to be counted")
        return []
    counts.update(there)
    say(f"vector: has {counted(there)}")
    return _fewer(there, copied, {})


def _wrong_sessions(contents: Contents, stub: Any, say: Say, counts: dict[str, int]) -> list[str]:
    """Compares what the session service lists, and the conversations of the backup."""
    wrong = []
    try:
        there = counting.sessions(stub)
    except counting.TooManyError:
        say("session: too many sessions to be counted")
    else:
        counts.update(there)
        say(f"session: has {counted(there)}")
        copied = _visible(contents, "session")
        if contents.expiring is not None:
            wrong += _fewer(there, copied, contents.expiring)
    conversations = Conversations(stub)
    for expected in contents.conversations:
        found = conversations.ask(expected.session_id)
        if found != expected:
            wrong.append(
                f"session {expected.session_id}: {_told(found)}, and {_told(expected)} in the backup"
            )
    return wrong


def _visible(contents: Contents, service: str) -> dict[str, int]:
    """What the lists have to show of a copy. A backup of a release before says nothing of that."""
    counts = contents.copies[service].counts
    return {kind: min(count, contents.listed.get(kind, count)) for kind, count in counts.items()}


def _fewer(there: Mapping[str, int], copied: Mapping[str, int], expiring: Mapping[str, int]) -> list[str]:
    """What is missing by more than what may have expired since it was taken."""
    wrong = []
    for kind, count in sorted(copied.items()):
        gone = expiring.get(kind, 0)
        if kind in there and there[kind] < count - gone:
            but = f", of which {gone} may have expired" if gone else ""
            wrong.append(f"{kind}: {there[kind]} are there, and {count} in the backup{but}")
    return wrong


def _told(conversation: Conversation | None) -> str:
    if conversation is None:
        return "nothing"
    last = f", the last {conversation.last_sha256[:12]}" if conversation.last_sha256 else ""
    return f"{conversation.title!r} with {conversation.messages} messages{last}"


def _wrong_answers(canaries: Canaries, expected: Sequence[Canary]) -> list[str]:
    wrong = []
    for canary in expected:
        found = canaries.ask(canary)
        if found != canary:
            wrong.append(
                f"{canary.collection_id}: {canary.query!r} found "
                f"{_shown(found)}, and {_shown(canary)} in the backup"
            )
    return wrong


def _shown(canary: Canary) -> str:
    hits = (f"{hit.document_id}[{hit.byte_start}:{hit.byte_end}]" for hit in canary.hits)
    return ", ".join(hits) or "nothing"
