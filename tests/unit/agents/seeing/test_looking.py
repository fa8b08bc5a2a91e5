"""Looks in the sandbox: one picture that is too much keeps nobody else from being measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from meldrag.agents.v1 import results_pb2
from services.agents.seeing.looking import Wanted, look, mark_duplicates
from services.sandbox.model import End, Job, Outcome
from services.sandbox.sandbox import open_sandbox
from tests.support.pictures import camera_exif, page, photo, saved, whole_png
from tests.support.plain_sandbox import PlainSandbox


class Telling:
    """Stands for a program that was taken over: tells what it likes."""

    def __init__(self, told: Any) -> None:
        self.told = told

    async def run(self, job: Job) -> Outcome:
        files = {".meld/result.json": json.dumps(self.told).encode()}
        return Outcome(End.EXITED, 0, b"", b"", 0.1, files, "ended")


async def test_a_picture_is_measured_in_the_real_sandbox_and_a_bomb_is_not() -> None:
    sandbox = await open_sandbox()
    if sandbox.layer is None:
        pytest.skip(sandbox.reason)
    seen = await look(sandbox, saved(photo(), "JPEG", exif=camera_exif()), Wanted(shown=True, page=True))
    assert (seen.picture.reason, seen.picture.width, seen.picture.height) == ("", 320, 240)
    assert seen.picture.camera.model == "EO-7"
    assert seen.shown is not None
    assert seen.page is not None
    assert seen.page.factor == 3
    assert seen.clean is None
    bomb = await look(sandbox, whole_png(7_000, 7_000), Wanted())
    assert (bomb.picture.reason, bomb.picture.width) == ("", 7_000)
    assert bomb.picture.blank
    bomb = await look(sandbox, whole_png(8_000, 8_000), Wanted())
    assert "more pixels" in bomb.picture.reason


@pytest.mark.parametrize(
    "told",
    [
        {"width": 3, "height": 4, "difference_hash": "0", "sharpness": "NaN"},
        {"width": 3, "height": 4, "difference_hash": "zz"},
        {"width": 3, "height": 4, "difference_hash": "0", "camera": {"make": "x" * 1_000}},
        {"width": 3, "height": 4, "difference_hash": "0", "notes": ["x"] * 101},
        {"width": -1, "height": 4, "difference_hash": "0"},
        {"width": 3, "height": 4, "difference_hash": "0", "password": "1"},
        {},
    ],
)
async def test_what_no_decoder_of_ours_would_tell_is_not_believed(told: Any) -> None:
    seen = await look(Telling(told), b"x", Wanted())
    assert "cannot be read" in seen.picture.reason
    assert not seen.picture.notes


async def test_a_decoder_names_no_other_attachment() -> None:
    told = {"width": 3, "height": 4, "difference_hash": "0", "attachment_id": "other", "duplicate_ids": ["a"]}
    seen = await look(Telling(told), b"x", Wanted())
    assert (seen.picture.attachment_id, list(seen.picture.duplicate_ids), seen.picture.bytes) == ("", [], 1)


async def test_an_empty_file_is_named() -> None:
    assert (await look(PlainSandbox(), b"", Wanted())).picture.reason == "The file is empty."


async def test_the_same_picture_smaller_or_saved_again_is_a_duplicate_and_another_is_not() -> None:
    large = photo(640, 480)
    files = {
        "a": saved(large),
        "b": saved(large.resize((320, 240)), "JPEG", quality=70),
        "c": saved(large.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "d": saved(page("Elmsund")),
        "blank": whole_png(640, 480),
        "white": whole_png(320, 240),
    }
    pictures = []
    for name, data in files.items():
        picture = (await look(PlainSandbox(), data, Wanted())).picture
        picture.attachment_id = name
        pictures.append(picture)
    pictures.append(results_pb2.Picture(attachment_id="e", reason="It is no picture."))
    mark_duplicates(pictures, {name: name for name in files})
    marked = {picture.attachment_id: list(picture.duplicate_ids) for picture in pictures}
    assert marked == {"a": ["b"], "b": ["a"], "c": [], "d": [], "blank": [], "white": [], "e": []}


async def test_the_same_file_twice_is_a_duplicate_also_where_nothing_is_to_be_seen() -> None:
    picture = (await look(PlainSandbox(), whole_png(64, 48), Wanted())).picture
    twice = []
    for name in ("a", "b"):
        copy = results_pb2.Picture()
        copy.CopyFrom(picture)
        copy.attachment_id = name
        twice.append(copy)
    mark_duplicates(twice, {"a": "1", "b": "1"})
    assert [list(one.duplicate_ids) for one in twice] == [["b"], ["a"]]
