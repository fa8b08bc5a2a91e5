"""What the program does: make a backup, check one, go back to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.backup import folder as folders
from services.backup.canaries import Canaries, Canary
from services.backup.clients import Keeper, Keepers, contracts
from services.backup.failure import BackupError
from services.backup.folder import Contents, Copy, file_of
from services.chassis.errors import ServiceError
from services.chassis.lock import lock_directory
from services.chassis.start import StartError

Say = Callable[[str], None]

_READY_SECONDS = 20.0
# The index of a restored record may have to be built first.
_RESTORED_SECONDS = 600.0


def create(parent: Path, keepers: Keepers, key: bytes, keep: int | None, say: Say) -> Path:
    """Makes a backup below `parent`; its folder. Raises BackupError, and leaves nothing then.

    Sessions are copied first: what they cite is then in the documents, which are copied after them.
    """
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock_directory(parent), folders.partial(parent, folders.now()) as partial:
            began = folders.now()
            for keeper in (keepers.session, keepers.vector):
                keeper.wait_healthy(_READY_SECONDS)
            canaries = Canaries(keepers.vector.stub)
            chosen = canaries.choose()
            copies = {
                keeper.name: _copy(partial, keeper, key, say) for keeper in (keepers.session, keepers.vector)
            }
            holding = canaries.still_hold(chosen)
            say(f"canaries: {len(holding)} queries with their hits")
            folders.write_contents(partial, Contents(contracts(), began, copies, holding))
            folders.verify(partial, key)
            done = folders.complete(partial)
            for removed in folders.prune(parent, keep) if keep else ():
                say(f"removed {removed}")
            return done
    except StartError as error:
        raise BackupError(str(error)) from None
    except ServiceError as error:
        raise BackupError(f"the canary queries failed: {error.message} ({error.reason})") from None
    except OSError as error:
        raise BackupError(f"{error.filename or parent}: {error.strerror}") from None


def _copy(partial: Path, keeper: Keeper, key: bytes, say: Say) -> Copy:
    counts: dict[str, int] = {}
    pieces = folders.copied(keeper.name, key, keeper.export(), counts)
    size, digest = folders.write(partial, file_of(keeper.name), pieces)
    say(f"{keeper.name}: {size} bytes, {_counted(counts)}")
    return Copy(size, digest, counts)


def verify(folder: Path, key: bytes, say: Say) -> Contents:
    """Checks a backup without any service. Raises BackupError with all that is wrong."""
    contents = folders.verify(folder, key)
    say(f"made {contents.created_time.isoformat()}")
    for name, copy in contents.copies.items():
        say(f"{name}: {copy.size} bytes, {_counted(copy.counts)}, whole")
    return contents


def restore(folder: Path, keepers: Keepers, key: bytes, say: Say) -> None:
    """Goes back to a backup and asks its canaries. Raises BackupError.

    Documents come first: they are the larger part, and sessions cite them. Nothing
    was changed when the first import fails.
    """
    contents = verify(folder, key, say)
    if contents.contracts != contracts():
        say("the backup was made by another release; the services decide whether they can read it")
    for keeper in (keepers.vector, keepers.session):
        keeper.wait_healthy(_READY_SECONDS)
    kept: dict[str, int] = {}
    for keeper in (keepers.vector, keepers.session):
        try:
            kept[keeper.name] = keeper.restore(folder / file_of(keeper.name))
        except ServiceError as error:
            raise BackupError(*_state(keeper, kept, error, folder)) from None
        say(f"{keeper.name}: restored")
    for keeper in (keepers.vector, keepers.session):
        keeper.wait_healthy(_RESTORED_SECONDS)
    wrong = _wrong_counts(contents, kept, say)
    try:
        wrong += _wrong_answers(Canaries(keepers.vector.stub), contents.canaries)
    except ServiceError as error:
        wrong.append(f"the canary queries failed: {error.message} ({error.reason})")
    if wrong:
        raise BackupError("both services were restored, and answer otherwise than the backup says:", *wrong)
    say(f"canaries: {len(contents.canaries)} queries found what they found before")


def _state(keeper: Keeper, kept: dict[str, int], error: ServiceError, folder: Path) -> list[str]:
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
    return [*lines, f"restore {folder} again when the cause is gone: it brings both to the backup"]


def _wrong_counts(contents: Contents, kept: dict[str, int], say: Say) -> list[str]:
    wrong = []
    documents, sessions = contents.copies["vector"].counts, contents.copies["session"].counts
    if kept["vector"] != documents.get("documents", kept["vector"]):
        wrong.append(f"documents: {kept['vector']}, and {documents['documents']} in the backup")
    copied = sessions.get("sessions", kept["session"])
    if kept["session"] > copied:
        wrong.append(f"sessions: {kept['session']}, and {copied} in the backup")
    elif kept["session"] < copied:
        say(f"session: {copied - kept['session']} of {copied} sessions have expired since the backup")
    return wrong


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


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
