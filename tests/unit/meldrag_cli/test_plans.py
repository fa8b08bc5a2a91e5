"""What is sent and what is deleted, and when that is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from meldrag_cli.failures import RefusedFailure
from meldrag_cli.folders import Contents
from meldrag_cli.plans import FEW, Holdings, Marks, Plan, guard, named, plan, shown

MARKS = Marks("/srv/notes")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def folder(
    *,
    restless: Sequence[str] = (),
    unread: Sequence[str] = (),
    lost: Sequence[str] = (),
    **files: str,
) -> Contents:
    """A folder with these texts, by path with __ for "/"."""
    texts = {name.replace("__", "/"): text for name, text in files.items()}
    return Contents(
        hashes={name: sha256(text) for name, text in texts.items()},
        restless=list(restless),
        unread=dict.fromkeys(unread, "no"),
        lost=dict.fromkeys(lost, "no"),
        sizes={**{name: len(text) for name, text in texts.items()}, **dict.fromkeys(restless, 1)},
    )


def document(path: str, text: str, state: str = "READY", **more: Any) -> dict[str, Any]:
    """As the house lists it, with the marks of the folder unless told otherwise."""
    fields = MARKS.fields(path)
    return {
        "id": f"id of {path}",
        "external_id": fields["external_id"],
        "metadata": json.loads(fields["metadata"]),
        "content_sha256": sha256(text),
        "bytes": len(text),
        "filename": path.rpartition("/")[2],
        "state": state,
        "error": {"reason": "FORMAT_UNSUPPORTED", "message": "no"} if state == "FAILED" else None,
        **more,
    }


def planned(
    contents: Contents, documents: Sequence[dict[str, Any]], **more: bool
) -> tuple[dict[str, str], dict[str, str], Plan]:
    """By path or id, why each is sent and deleted; and the plan."""
    made = plan(contents, Holdings.of(documents, MARKS, contents.hashes.values()), **more)
    return (
        {each.path: each.why.value for each in made.send},
        {each.document_id: each.why.value for each in made.delete},
        made,
    )


def test_what_is_new_or_changed_is_sent_and_what_has_gone_is_deleted() -> None:
    contents = folder(same="s", changed="now", deep__new="n")
    there = [document("same", "s"), document("changed", "then"), document("gone", "g")]

    send, delete, made = planned(contents, there)

    assert send == {"changed": "changed", "deep/new": "new"}
    assert delete == {"id of gone": "gone"}
    assert made.unchanged == 1


def test_a_file_under_another_name_is_sent_and_its_old_document_deleted_as_moved() -> None:
    send, delete, _ = planned(folder(there="t"), [document("here", "t")])
    assert (send, delete) == ({"there": "new"}, {"id of here": "moved"})


def test_what_may_have_moved_waits_until_that_is_known() -> None:
    there = [document("old", "12345"), document("log", "123456"), document("gone", "1234567")]
    contents = folder(restless=["young", "log"])
    contents.sizes |= {"young": 5, "log": 7}
    send, delete, made = planned(contents, there)
    # The log is written to and was there before, so its size says nothing.
    assert (send, delete) == ({}, {"id of gone": "gone"})
    guard(made, contents, Holdings.of(there, MARKS, ()))


def test_two_files_of_the_same_bytes_are_two_documents() -> None:
    send, delete, _ = planned(folder(one="x", two="x"), [document("one", "x")])
    assert (send, delete) == ({"two": "new"}, {})


@pytest.mark.parametrize(
    "foreign",
    [
        {"metadata": {}},
        {"metadata": {"synced_folder": "/srv/other"}},
        {"external_id": ""},
        {"external_id": "/srv/notes/gone"},
        {"external_id": "/srv/notes//"},
        {"external_id": "/srv/notes/deep//gone", "metadata": {"synced_folder": "/srv/notes/deep"}},
        {"external_id": "x/srv/notes//gone"},
    ],
)
@pytest.mark.parametrize("state", ["READY", "FAILED", "PARSING"])
def test_what_lacks_a_mark_of_this_folder_is_never_deleted(foreign: dict[str, Any], state: str) -> None:
    contents = folder(same="s")
    documents = [document("same", "s"), document("gone", "g", state, **foreign)]
    for more in ({}, {"adopt": True}, {"again": True}):
        assert planned(contents, documents, **more)[:2] == ({}, {})


def test_folders_in_each_other_do_not_take_each_others_documents() -> None:
    inner = Marks("/srv/notes/deep")
    assert inner.fields("a")["external_id"] != MARKS.fields("deep/a")["external_id"]
    for marks, other, path in ((MARKS, inner, "a"), (inner, MARKS, "deep/a")):
        fields = other.fields(path)
        made = {"external_id": fields["external_id"], "metadata": json.loads(fields["metadata"])}
        assert marks.path(made) is None
        assert other.path(made) == path


def test_what_cannot_be_known_stays_as_it_is() -> None:
    contents = folder(restless=["growing"], unread=["locked"], lost=["secret/"], same="s")
    names = ("same", "growing", "locked", "secret/deep/file")
    there = [document(name, "s") for name in names]
    assert planned(contents, there)[:2] == ({}, {})
    failed = [document(name, f"old {name}", "FAILED") for name in names[1:]]
    assert planned(contents, [there[0], *failed])[:2] == ({}, {})


def test_what_failed_with_the_same_bytes_is_told_and_not_sent_again() -> None:
    # The house keeps one failure for the same bytes, under the name that came last.
    contents = folder(a="", b="")
    send, delete, made = planned(contents, [document("b", "", "FAILED")])
    assert (send, delete) == ({}, {})
    assert {path: each.reason for path, each in made.failed.items()} == dict.fromkeys(
        ("a", "b"), "FORMAT_UNSUPPORTED"
    )
    send, delete, made = planned(contents, [document("b", "", "FAILED")], again=True)
    assert (send, delete, made.failed) == ({"a": "new", "b": "new"}, {}, {})


def test_an_interruption_says_nothing_of_the_file() -> None:
    broken_off = document("a", "a", "FAILED", error={"reason": "INTERRUPTED", "message": "stopped"})
    assert planned(folder(a="a"), [broken_off])[0] == {"a": "new"}
    # When not all of it had come nobody knows its bytes.
    torn = {**broken_off, "content_sha256": ""}
    assert planned(folder(a="a"), [torn])[:2] == ({"a": "new"}, {"id of a": "outdated"})


def test_a_failure_goes_with_its_file_and_when_that_has_changed() -> None:
    there = [document("a", "bad", "FAILED"), document("b", "bad too", "FAILED"), document("c", "c")]
    send, delete, made = planned(folder(a="good", c="c"), there)
    assert (send, delete) == ({"a": "new"}, {"id of a": "outdated", "id of b": "outdated"})
    # Nobody is asked whether failures may go.
    guard(made, folder(a="good", c="c"), Holdings())


def test_what_is_on_its_way_is_not_sent_and_taken_back_when_its_file_goes() -> None:
    there = [document("a", "a", "PARSING"), document("b", "b", "RECEIVED"), document("c", "c", "EMBEDDING")]
    send, delete, made = planned(folder(a="a", c="c"), there)
    assert (send, delete) == ({}, {"id of b": "gone"})
    assert [each.coming for each in made.delete] == [True]
    assert [each.document_id for each in made.unready] == ["id of a", "id of c"]


def test_what_came_by_ingest_is_told_and_taken_over_where_that_is_asked_for() -> None:
    contents = folder(deep__a="a", b="b")
    plain: dict[str, Any] = {"metadata": {}}
    there = [
        document("b", "b"),
        document("1", "a", external_id="", **plain),
        document("2", "a", external_id="notes/deep/a", **plain),
        # Others may have the same bytes and mean something by it.
        document("3", "a", external_id="handbook-17", **plain),
        document("4", "a", external_id="", metadata={"author": "Ann"}),
        document("5", "other", external_id="", **plain),
        document("6", "a", external_id="not/indeep/a", **plain),
    ]
    send, delete, made = planned(contents, there)
    assert (send, delete, made.twice) == ({"deep/a": "new"}, {}, 2)
    send, delete, made = planned(contents, there, adopt=True)
    assert (send, made.twice) == ({"deep/a": "new"}, 0)
    assert delete == {"id of 1": "adopted", "id of 2": "adopted"}
    guard(made, contents, Holdings.of(there, MARKS, contents.hashes.values()))


def refusal(contents: Contents, documents: Sequence[dict[str, Any]]) -> str | None:
    held = Holdings.of(documents, MARKS, contents.hashes.values())
    try:
        guard(plan(contents, held), contents, held)
    except RefusedFailure as refused:
        return refused.reason
    return None


def many(count: int, first: int = 0) -> dict[str, str]:
    return {f"file{number}": f"text {number}" for number in range(first, first + count)}


def documents(count: int) -> list[dict[str, Any]]:
    return [document(name, text) for name, text in many(count).items()]


def test_an_empty_folder_deletes_nothing() -> None:
    assert refusal(folder(), documents(1)) == "FOLDER_EMPTY"
    assert refusal(folder(), []) is None


def test_who_is_refused_is_told_what_would_happen_and_how_to_have_it() -> None:
    held = Holdings.of(documents(30), MARKS, ())
    with pytest.raises(RefusedFailure, match=r"30 of its 30 documents would be deleted.*--delete-many"):
        guard(plan(folder(), held), folder(), held)


def test_a_folder_without_anything_in_common_deletes_nothing() -> None:
    assert refusal(folder(other="o"), documents(2)) == "FOLDER_DIFFERS"
    assert refusal(folder(other="o", file0="text 0"), documents(2)) is None
    # Whatever it is called now, it is the same.
    assert refusal(folder(moved="text 0"), documents(2)) is None


@pytest.mark.parametrize(
    ("there", "left", "reason"),
    [
        (FEW + 1, 1, None),
        (FEW + 2, 1, "DELETES_MANY"),
        (2 * FEW + 2, FEW + 1, None),
        (2 * FEW + 3, FEW + 1, "DELETES_MANY"),
        (1000, 500, None),
        (1000, 499, "DELETES_MANY"),
    ],
)
def test_most_of_a_folder_is_not_deleted_without_being_asked_for(
    there: int, left: int, reason: str | None
) -> None:
    assert refusal(folder(**many(left)), documents(there)) == reason


def test_a_renamed_folder_is_no_deletion() -> None:
    moved = folder(**{f"new__{name}": text for name, text in many(40).items()})
    assert refusal(moved, documents(40)) is None


def test_unreadable_files_are_there_for_the_guard() -> None:
    assert refusal(folder(lost=["deep/"]), [document("deep/a", "a"), document("b", "b")]) is None
    assert refusal(folder(lost=["deep/"]), [document("b", "b")]) == "FOLDER_DIFFERS"


@pytest.mark.parametrize("path", ["a\nb", "a\x1bb", "a\udcffb", "d/" * 300])
def test_a_name_that_the_house_could_not_keep_is_refused(path: str) -> None:
    with pytest.raises(RefusedFailure) as refused:
        MARKS.fields(path)
    assert refused.value.reason == "PATH_UNFIT"
    refused.value.detail.encode()
    shown(path).encode()


@pytest.mark.parametrize(
    ("root", "given", "name"),
    [
        ("/srv/notes", "", "/srv/notes"),
        ("C:\\notes", "", "C:/notes"),
        ("/srv/notes", "team/notes/", "team/notes"),
        ("/srv/notes", "Hafen Ø", "Hafen Ø"),
        ("/", "", None),
        ("/srv/notes", "a//b", None),
        ("/srv/notes", "a\nb", None),
        ("/srv/notes\udcff", "", None),
        ("/srv/notes", "x" * 300, None),
    ],
)
def test_a_folder_is_called_by_its_path_or_as_given(root: str, given: str, name: str | None) -> None:
    if name is not None:
        assert named(root, given) == name
        return
    with pytest.raises(RefusedFailure) as refused:
        named(root, given)
    assert refused.value.reason == "NAME_UNFIT"
