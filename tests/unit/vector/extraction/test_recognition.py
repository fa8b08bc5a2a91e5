"""Text recognition, with the program where it is installed and with programs that misbehave."""

import io
import shutil
import stat
import time
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from services.vector.extraction.errors import DocumentEmptyError
from services.vector.extraction.extractor import Extractor
from services.vector.extraction.model import Extraction, Limits
from services.vector.extraction.recognition import Recogniser
from tests.unit.vector.extraction import samples

SCAN = samples.scanned_pdf([samples.lettering("THE LAMP")[0]], *samples.lettering("THE LAMP")[1:])
installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


async def extract(
    folder: Path, data: bytes, recogniser: Recogniser | None, limits: Limits | None = None
) -> Extraction:
    path = samples.write(folder, "a.pdf", data)
    extractor = Extractor(recogniser=recogniser)
    return await extractor.extract(path, "a.pdf", "", limits or Limits(), deadline=None)


def program(folder: Path, script: str) -> Recogniser:
    """A recogniser that runs a shell script instead."""
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Recogniser(str(path))


def mixed() -> bytes:
    """A page with text, one with only a picture, an empty one."""
    data, width, height = samples.lettering("THE LAMP")
    scanned = samples.scanned_pdf([data, None], width, height)
    return samples.joined_pdf([samples.pdf([["A page with text."]]), scanned])


LISTS = 'if [ "$1" = --list-langs ]; then echo List; echo eng; exit; fi'


@installed
async def test_a_scanned_page_is_read(tmp_path: Path) -> None:
    extraction = await extract(tmp_path, SCAN, Recogniser.installed())
    assert "THE LAMP" in extraction.text.upper()
    assert extraction.warnings == ()
    assert len(extraction.pages) == 1


async def test_recognised_text_stands_on_its_page(tmp_path: Path) -> None:
    reads = program(tmp_path, f"{LISTS}\necho 'Text of a picture.'")
    extraction = await extract(tmp_path, mixed(), reads)
    assert samples.page_texts(extraction) == ["A page with text.", "Text of a picture.", ""]
    assert [place.label for place in extraction.places] == ["page 1", "page 2"]
    assert extraction.warnings == ()


async def test_recognised_text_follows_the_stamp_of_its_page(tmp_path: Path) -> None:
    scan = samples.scanned_pdf([bytes(700 * 900)], 700, 900)
    stamped = PdfWriter(clone_from=io.BytesIO(samples.pdf([["Elmsund archive 12"]])))
    page = PdfReader(io.BytesIO(scan)).pages[0]
    stamped.pages[0].merge_page(page, over=False)
    out = io.BytesIO()
    stamped.write(out)
    reads = program(tmp_path, f"{LISTS}\necho 'Text of a picture.'")
    extraction = await extract(tmp_path, out.getvalue(), reads)
    assert extraction.text == "Elmsund archive 12\n\nText of a picture."
    assert extraction.warnings == ()


async def test_without_the_program_a_page_is_named_and_a_document_refused(tmp_path: Path) -> None:
    extraction = await extract(tmp_path, mixed(), None)
    assert extraction.text == "A page with text."
    assert len(extraction.warnings) == 1
    assert "page 2 is missing" in extraction.warnings[0]
    with pytest.raises(DocumentEmptyError, match="text recognition"):
        await extract(tmp_path, SCAN, None)


@pytest.mark.parametrize(
    "script",
    ["exit 1", "kill -9 $$", "exec sleep 60", "while :; do echo yes; done", LISTS, f"{LISTS}\nexit 3"],
    ids=["status", "killed", "hangs", "floods", "says nothing", "fails"],
)
async def test_a_program_that_misbehaves_costs_its_page_and_no_more(tmp_path: Path, script: str) -> None:
    limits = Limits(recognition_seconds=2.0)
    began = time.monotonic()
    extraction = await extract(tmp_path, mixed(), program(tmp_path, script), limits)
    assert time.monotonic() - began < 40
    assert extraction.text.startswith("A page with text.")
    assert "page 2 is missing" in extraction.warnings[0]


async def test_the_program_is_confined_and_sees_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    target = tmp_path / "written"
    script = f"{LISTS}\nulimit -v\nulimit -t\necho x > {target}\necho key=$OPENAI_API_KEY."
    extraction = await extract(tmp_path, mixed(), program(tmp_path, script))
    memory, seconds, *rest = samples.page_texts(extraction)[1].split("\n")
    assert (int(memory), int(seconds)) == (512 * 1024, 30)
    assert rest[-1] == "key=."
    assert not target.exists() or target.stat().st_size == 0
