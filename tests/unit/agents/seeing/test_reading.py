"""Reading print with tesseract, in the real sandbox where there is one."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from services.agents.seeing.looking import Wanted, look
from services.agents.seeing.reading import Reading, read
from services.chassis.errors import InvalidArgumentError
from services.sandbox.model import End, Job, Outcome
from services.sandbox.sandbox import open_sandbox
from tests.support.pictures import camera_exif, page, saved
from tests.support.plain_sandbox import PlainSandbox

installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
PRINT = ("The harbour of Elmsund is", "fourteen metres deep.")


async def read_from(data: bytes, *languages: str) -> Reading:
    sandbox = await open_sandbox()
    if sandbox.layer is None:
        pytest.skip(sandbox.reason)
    seen = await look(sandbox, data, Wanted(page=True))
    assert seen.page is not None
    return await read(sandbox, seen.page, languages)


@installed
@pytest.mark.parametrize("size", [24, 48])
async def test_print_is_read_where_it_stands(size: int) -> None:
    reading = await read_from(saved(page(*PRINT, size=size)))
    assert [line.text for line in reading.lines] == list(PRINT)
    for row, line in enumerate(reading.lines):
        top = 40 + int(1.6 * size * row)
        assert abs(line.box.left - 40) <= 4
        assert top - 2 <= line.box.top <= top + size
        assert line.box.height <= 1.4 * size
        assert line.confidence > 0.8


@installed
async def test_a_picture_that_lies_on_its_side_is_read_upright() -> None:
    lying = page(*PRINT).transpose(Image.Transpose.ROTATE_90)
    reading = await read_from(saved(lying, "JPEG", quality=95, exif=camera_exif(orientation=6)))
    assert [line.text for line in reading.lines] == list(PRINT)
    assert abs(reading.lines[0].box.left - 40) <= 4


@installed
async def test_a_language_that_is_not_there_is_named_with_those_that_are() -> None:
    reading = await read_from(saved(page(*PRINT)), "tlh")
    assert not reading.lines
    assert "'tlh' is not installed" in reading.reason
    assert "eng" in reading.reason


@installed
async def test_a_picture_without_text_has_no_lines_and_no_reason() -> None:
    assert await read_from(saved(Image.new("RGB", (200, 100), "white"))) == Reading()


class Lacking:
    """A sandbox that knows no tesseract."""

    async def run(self, job: Job) -> Outcome:
        if job.argv[0] != "python":
            raise InvalidArgumentError("argv: there is no program here", reason="INPUTS_INVALID")
        return await PlainSandbox().run(job)


class Failing:
    """A sandbox in which tesseract ends before its time."""

    async def run(self, job: Job) -> Outcome:
        if "--list-langs" in job.argv:
            return Outcome(End.EXITED, 0, b"List (1):\neng\n", b"", 0.1, {}, "ended")
        return Outcome(End.TIME, None, b"", b"", 90.0, {}, "took longer than 90 s")


async def test_without_tesseract_the_reason_says_so() -> None:
    seen = await look(PlainSandbox(), saved(page(*PRINT)), Wanted(page=True))
    assert seen.page is not None
    assert "not installed" in (await read(Lacking(), seen.page)).reason
    assert "took longer than 90 s" in (await read(Failing(), seen.page)).reason
