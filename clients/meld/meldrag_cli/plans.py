"""What makes a collection hold what a folder holds. Pure.

Documents of a folder are known by two marks that a sync gives them: the external id NAME//PATH and the
metadata synced_folder = NAME. What lacks either is somebody else's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from meldrag_cli.failures import RefusedFailure
from meldrag_cli.folders import Contents

MARK = "synced_folder"
# Names of folders have no empty part and paths below them neither, so this stands between them and nowhere
# else, so that "a//b/c" and "a/b//c" are files of two folders.
_BETWEEN = "//"
# So many may go without a word, whatever share of the whole they are.
FEW = 10
_LONGEST_ID = 512
_WHOLE = frozenset({"EMBEDDING", "READY"})
_COMING = frozenset({"RECEIVED", "PARSING"})
# A service that ended while it read says nothing of the file.
_NOT_OF_THE_FILE = frozenset({"INTERRUPTED"})


class Why(StrEnum):
    """Why a file is sent, or a document deleted."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"
    # The same bytes are there under another path.
    MOVED = "moved"
    # It failed, and its file has changed or gone since.
    OUTDATED = "outdated"
    # The same bytes came by another way and are kept as the folder's now.
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Held:
    """A document as the collection has it. size: of its file, in bytes."""

    document_id: str
    sha256: str
    state: str
    size: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Held:
        """From what the house says of one."""
        return cls(
            str(document["id"]),
            str(document["content_sha256"]),
            str(document["state"]),
            int(document["bytes"]),
        )

    @property
    def coming(self) -> bool:
        """Whether it is not taken yet; then it is taken back, and not deleted."""
        return self.state in _COMING


@dataclass(frozen=True, slots=True)
class Failed:
    """A document that could not be taken, and why."""

    document_id: str
    path: str
    sha256: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Loose:
    """A document that nobody gave anything but its bytes: a name of its own, or data."""

    document_id: str
    external_id: str
    filename: str


@dataclass
class Holdings:
    """What a collection holds of a folder.

    whole: by path, what can be found. coming: by path, what is not read yet. failed: what could not be.
    loose: by SHA-256, what has no mark and came by `meld ingest` or the page, of the folder's bytes alone.
    """

    whole: dict[str, Held] = field(default_factory=dict)
    coming: dict[str, Held] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    loose: dict[str, list[Loose]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]], marks: Marks, hashes: Iterable[str]) -> Holdings:
        """From the list of a collection, one document after the other. hashes: those of the folder."""
        holdings, ours = cls(), frozenset(hashes)
        for each in documents:
            path, state, sha256 = marks.path(each), str(each["state"]), str(each["content_sha256"])
            if path is None:
                if sha256 in ours and state in _WHOLE and not each["metadata"]:
                    loose = Loose(str(each["id"]), str(each["external_id"]), str(each["filename"]))
                    holdings.loose.setdefault(sha256, []).append(loose)
            elif state in _WHOLE:
                holdings.whole[path] = Held.of(each)
            elif state in _COMING:
                holdings.coming[path] = Held.of(each)
            else:
                error = each["error"] or {}
                reason = str(error.get("reason") or "DOCUMENT_FAILED")
                message = str(error.get("message") or "the document could not be taken")
                holdings.failed.append(Failed(str(each["id"]), path, sha256, reason, message))
        return holdings

    def forget(self, deleted: Delete) -> None:
        """Takes out a document that has gone."""
        for holding in (self.whole, self.coming):
            there = holding.get(deleted.path)
            if there is not None and there.document_id == deleted.document_id:
                del holding[deleted.path]
        if deleted.why is Why.OUTDATED:
            self.failed = [each for each in self.failed if each.document_id != deleted.document_id]
        if deleted.why is Why.ADOPTED:
            left = self.loose.pop(deleted.sha256, [])
            self.loose[deleted.sha256] = [each for each in left if each.document_id != deleted.document_id]


@dataclass(frozen=True)
class Marks:
    """How documents of a folder are marked. name: of the folder, as the house knows it."""

    name: str

    def fields(self, path: str) -> dict[str, str]:
        """What goes with a file. Raises RefusedFailure for a path that the house could not keep."""
        external_id = f"{self.name}{_BETWEEN}{path}"
        if len(external_id) > _LONGEST_ID:
            detail = f"with its folder the name has more than {_LONGEST_ID} characters; see --as"
            raise RefusedFailure("PATH_UNFIT", detail)
        if any(map(_unfit, external_id)):
            raise RefusedFailure("PATH_UNFIT", "the name is no text in a line")
        return {"external_id": external_id, "metadata": json.dumps({MARK: self.name}, ensure_ascii=False)}

    def path(self, document: Mapping[str, Any]) -> str | None:
        """The path below the folder that a document came from; None for what is not the folder's."""
        path = str(document["external_id"]).removeprefix(f"{self.name}{_BETWEEN}")
        if not path or path == document["external_id"]:
            return None
        return path if (document["metadata"] or {}).get(MARK) == self.name else None


@dataclass(frozen=True, slots=True)
class Send:
    """A file that is sent."""

    path: str
    why: Why


@dataclass(frozen=True, slots=True)
class Delete:
    """A document that is deleted, or taken back while it is coming. path, sha256: of its file."""

    path: str
    document_id: str
    why: Why
    sha256: str
    coming: bool = False


@dataclass
class Plan:
    """What is to be done, in this order.

    unchanged: how many files are there as they are. unready: documents of those that have not all their
    vectors. failed: by path, what failed before with the same bytes, and is not sent again. twice: how many
    documents came by another way with bytes that the folder has, and stay.
    """

    send: list[Send] = field(default_factory=list)
    delete: list[Delete] = field(default_factory=list)
    unchanged: int = 0
    unready: list[Held] = field(default_factory=list)
    failed: dict[str, Failed] = field(default_factory=dict)
    twice: int = 0


def plan(contents: Contents, held: Holdings, *, again: bool = False, adopt: bool = False) -> Plan:
    """What makes the two the same.

    again: send also what failed before. adopt: let documents of the same bytes that came by `meld ingest` or
    the page be the folder's.

    What is in the folder and not known byte for byte, because it is restless or cannot be read, stays in the
    collection as it is. So does what may have moved: a new file of its size is restless.
    """
    made = Plan()
    failures = {each.sha256: each for each in held.failed if each.sha256}
    for path, sha256 in contents.hashes.items():
        there = held.whole.get(path)
        coming = held.coming.get(path)
        failed = failures.get(sha256)
        if there is not None and there.sha256 == sha256:
            made.unchanged += 1
            if there.state != "READY":
                made.unready.append(there)
        elif coming is not None and coming.sha256 == sha256:
            made.unchanged += 1
            made.unready.append(coming)
        elif failed is not None and not again and failed.reason not in _NOT_OF_THE_FILE:
            made.failed[path] = failed
        else:
            made.send.append(Send(path, Why.NEW if there is None else Why.CHANGED))
    _gone(made, contents, held)
    _loose(made, contents, held, adopt=adopt)
    made.delete.sort(key=lambda each: each.path)
    return made


def _gone(made: Plan, contents: Contents, held: Holdings) -> None:
    """What has no file any more."""
    hashes = set(contents.hashes.values())
    young = {contents.sizes[path] for path in contents.restless if path not in held.whole}
    for holding in (held.whole, held.coming):
        for path, each in holding.items():
            if contents.has(path):
                continue
            if each.sha256 in hashes:
                made.delete.append(Delete(path, each.document_id, Why.MOVED, each.sha256, each.coming))
            elif each.size not in young:
                made.delete.append(Delete(path, each.document_id, Why.GONE, each.sha256, each.coming))
    for old in held.failed:
        # One failure stands for all files of the same bytes.
        if old.sha256 in hashes or (contents.has(old.path) and old.path not in contents.hashes):
            continue
        made.delete.append(Delete(old.path, old.document_id, Why.OUTDATED, old.sha256))


def _loose(made: Plan, contents: Contents, held: Holdings, *, adopt: bool) -> None:
    """What came with the same bytes and no mark: `meld ingest` gives no id, or the path that it was told."""
    for path, sha256 in contents.hashes.items():
        for each in held.loose.get(sha256, ()):
            if each.external_id and not f"/{each.external_id}".endswith(f"/{path}"):
                continue
            if adopt:
                made.delete.append(Delete(path, each.document_id, Why.ADOPTED, sha256))
            else:
                made.twice += 1


def guard(made: Plan, contents: Contents, held: Holdings) -> None:
    """Raises RefusedFailure for a plan that deletes as if a disk were away or the folder another one.

    What moved does not count: its bytes stay. Nor does what had failed.
    """
    gone = [each for each in made.delete if each.why is Why.GONE]
    there = len(held.whole) + len(held.coming)
    if not gone:
        return
    told = f"{len(gone)} of its {there} documents would be deleted"
    more = "--dry-run shows which; if that is meant, say --delete-many"
    if contents.empty:
        raise RefusedFailure("FOLDER_EMPTY", f"the folder is empty, and {told}; {more}", gone=len(gone))
    if len(gone) == there:
        detail = f"the folder and the collection have no file in common, and {told}; {more}"
        raise RefusedFailure("FOLDER_DIFFERS", detail, gone=len(gone))
    if len(gone) > FEW and 2 * len(gone) > there:
        raise RefusedFailure("DELETES_MANY", f"{told}; {more}", gone=len(gone))


def named(root: str, given: str) -> str:
    """What the house calls a folder: as given, else by where it is. Raises RefusedFailure."""
    name = (given or root.replace("\\", "/")).rstrip("/")
    if not name or _BETWEEN in name or any(map(_unfit, name)) or len(name) > _LONGEST_ID // 2:
        detail = f"{given or root!a} is no name for a folder: a line of text, without //; give it by --as"
        raise RefusedFailure("NAME_UNFIT", detail)
    return name


def _unfit(letter: str) -> bool:
    return ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 or 0xD800 <= ord(letter) < 0xE000


def shown(path: str) -> str:
    """A path as text, whatever bytes its name has."""
    return path.encode("utf-8", "replace").decode("utf-8")
