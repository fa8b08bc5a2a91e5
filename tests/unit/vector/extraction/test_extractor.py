"""The door, with real children: what they read, and what they may do to the service, which is nothing."""

import asyncio
import codecs
import hashlib
import io
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
    FormatUnsupportedError,
    ParserLimitError,
)
from services.vector.extraction.extractor import Extractor, extract_plain
from services.vector.extraction.model import Extraction, Limits
from tests.support.waits import promised
from tests.unit.vector.extraction import samples


async def extract(path: Path, limits: Limits | None = None, extractor: Extractor | None = None) -> Extraction:
    return await (extractor or Extractor()).extract(path, path.name, "", limits or Limits(), deadline=None)


def python(code: str) -> Extractor:
    """An extractor whose children run this instead."""
    return Extractor(command=(sys.executable, "-c", code))


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.txt", "Die Größe zählt.".encode(), "text/plain"),
        ("a.md", b"# Size\n\nIt matters.", "text/markdown"),
        ("a.html", b"<h1>Size</h1><p>It matters.", "text/html"),
        ("a.pdf", samples.pdf([["Size matters."]]), "application/pdf"),
        ("a.docx", samples.simple_word(), samples.DOCX),
        ("a.csv", b"name,size\noak,20\n", "text/csv"),
        ("a.json", b'{"size": 20}', "application/json"),
        ("a.pptx", samples.slides(["Size matters"]), samples.PPTX),
        ("a.xlsx", samples.book({"Sizes": [["oak", 20]]}), samples.XLSX),
        ("a.odt", samples.open_document("<text:p>Size</text:p>"), samples.ODT),
        ("a.rtf", rb"{\rtf1 Size matters.}", "application/rtf"),
        ("a.epub", samples.epub(["<p>Size matters."]), "application/epub+zip"),
        ("a.eml", samples.mail("Size matters."), "message/rfc822"),
        ("a.xml", b"<size>20</size>", "application/xml"),
        ("a.py", b"def size():\n    return 20\n", "text/x-source"),
        ("a.zip", samples.package({"a.txt": b"Size matters."}), "application/zip"),
    ],
)
async def test_every_format_through_a_child(tmp_path: Path, name: str, data: bytes, media_type: str) -> None:
    extraction = await extract(samples.write(tmp_path, name, data))
    assert extraction.media_type == media_type
    assert extraction.text.strip()
    assert extraction.sha256 == hashlib.sha256(extraction.text.encode()).hexdigest()
    assert extraction == await extract(samples.write(tmp_path, name, data))


@pytest.mark.parametrize("data", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b" \n\t \r\n", b"\0\0"])
async def test_a_file_without_text_is_empty(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DocumentEmptyError) as caught:
        await extract(samples.write(tmp_path, "a.txt", data))
    assert caught.value.metadata["filename"] == "a.txt"


async def test_an_executable_named_pdf_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(FormatUnsupportedError) as caught:
        await extract(samples.write(tmp_path, "a.pdf", b"MZ" + bytes(100)))
    assert caught.value.metadata["supported"]


async def test_a_large_file_is_not_even_opened(tmp_path: Path) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        await extract(
            samples.write(tmp_path, "a.txt", b"12345"), Limits(file_bytes=4), python("raise SystemExit(3)")
        )
    assert caught.value.metadata["limit"] == "4"


async def test_too_much_text_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        await extract(samples.write(tmp_path, "a.txt", b"x" * 1001), Limits(text_bytes=1000))
    assert caught.value.metadata == {"limit": "1000", "unit": "bytes of text", "filename": "a.txt"}


def test_the_limits_of_a_parser_are_half_a_gibibyte_and_half_a_minute() -> None:
    assert (Limits().memory_bytes, Limits().seconds) == (512 * 1024 * 1024, 30.0)


async def test_memory_is_limited(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "a.json", b"[" + b"[]," * 3_000_000 + b"[]]")
    with pytest.raises(ParserLimitError) as caught:
        await extract(path, Limits(memory_bytes=96 * 1024 * 1024))
    assert caught.value.metadata["limit"] == str(96 * 1024 * 1024)
    assert "memory" in caught.value.metadata["unit"]


async def test_time_is_limited(tmp_path: Path) -> None:
    shown = b"BT /F1 12 Tf " + b"1 0 0 1 0 0 Tm (x) Tj " * 300_000 + b"ET"
    path = samples.write(tmp_path, "a.pdf", samples.pdf_of(samples.pdf_page(samples.stream(shown))))
    began = time.monotonic()
    with pytest.raises(ParserLimitError) as caught:
        await extract(path, Limits(seconds=1.0))
    assert time.monotonic() - began < promised(5)
    assert caught.value.metadata["unit"] == "seconds"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.kill(os.getpid(), 11)",
        "import os; os.abort()",
        "raise SystemExit(1)",
        "print('hello')",
        "pass",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\2{}')",
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    ],
    ids=["segfault", "abort", "status", "garbage", "silence", "shape", "flood"],
)
async def test_a_child_that_breaks_is_a_typed_error(tmp_path: Path, code: str) -> None:
    path = samples.write(tmp_path, "a.txt", b"text")
    with pytest.raises(DocumentUnreadableError) as caught:
        await extract(path, Limits(text_bytes=1000, blocks=10), python(code))
    assert caught.value.metadata["cause"]
    assert caught.value.metadata["filename"] == "a.txt"


async def test_a_child_that_ignores_everything_is_killed_with_its_children(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "a.txt", b"text")
    pids = tmp_path / "pids"
    code = (
        "import os, signal, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        f"if child: pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child}}')\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(ParserLimitError):
        await extract(path, Limits(seconds=1.0), python(code))
    await _gone(pids)


async def test_a_deadline_ends_the_child(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "a.txt", b"text")
    pids = tmp_path / "pids"
    code = (
        f"import os, time, pathlib; pathlib.Path({str(pids)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    with pytest.raises(TimeoutError):
        await python(code).extract(path, "a.txt", "", Limits(), deadline=time.monotonic() + 1.0)
    await _gone(pids)


async def test_cancelling_ends_the_child(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "a.txt", b"text")
    pids = tmp_path / "pids"
    code = (
        f"import os, time, pathlib; pathlib.Path({str(pids)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    task = asyncio.create_task(extract(path, extractor=python(code)))
    await asyncio.to_thread(_wait_for, pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(pids)


def _wait_for(path: Path) -> None:
    while not (path.is_file() and path.read_text()):
        time.sleep(0.02)


async def _gone(pids: Path) -> None:
    for pid in _read(pids):
        for _ in range(100):
            # A killed grandchild is a zombie until init reaps it.
            if not _runs(pid):
                break
            await asyncio.sleep(0.02)
        assert not _runs(pid)


def _read(pids: Path) -> list[int]:
    return [int(pid) for pid in pids.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_no_more_children_than_allowed(tmp_path: Path) -> None:
    path = samples.write(tmp_path, "a.txt", b"text")
    log = tmp_path / "log"
    code = (
        "import os, time\n"
        f"log = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "os.write(log, b'+'); time.sleep(0.2); os.write(log, b'-')\n"
    )
    extractor = Extractor(children=2, command=(sys.executable, "-c", code))
    await asyncio.gather(*(extract(path, extractor=extractor) for _ in range(5)), return_exceptions=True)
    running = most = 0
    for sign in log.read_text():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert log.read_text().count("+") == 5
    assert most == 2


async def test_a_child_sees_no_secret_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    path = samples.write(tmp_path, "a.txt", b"text")
    seen = tmp_path / "seen"
    code = f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))"
    with pytest.raises(DocumentUnreadableError):
        await extract(path, extractor=python(code))
    assert "canary" not in seen.read_text()


async def test_a_confined_child_cannot_write_or_start_processes(tmp_path: Path) -> None:
    """The limits a child puts on itself, seen from inside it."""
    target = tmp_path / "written"
    code = (
        "import os, sys\n"
        "from services.vector.extraction import sandbox\n"
        "from services.vector.extraction.model import Limits\n"
        "sandbox.confine(Limits())\n"
        "import resource\n"
        "names = ('RLIMIT_CORE', 'RLIMIT_FSIZE', 'RLIMIT_NPROC', 'RLIMIT_AS')\n"
        "print(*(resource.getrlimit(getattr(resource, name))[1] for name in names))\n"
        f"handle = open({str(target)!r}, 'wb', buffering=0)\n"
        "try: handle.write(b'x')\n"
        "except OSError: print('refused')\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    out, _ = await child.communicate()
    assert out.decode().split() == ["0", "0", "0", str(512 * 1024 * 1024), "refused"]


def with_bomb(data: bytes, name: str) -> bytes:
    """The package with a part that unfolds a thousandfold."""
    return samples.with_part(data, name, bytes(20 * 1024 * 1024))


def with_entity(part: str, encoding: str) -> bytes:
    """A part that declares an entity, in an encoding that a search for bytes would miss."""
    return f'<!DOCTYPE a [<!ENTITY x "y">]><{part}>&x;</{part}>'.encode(encoding)


SLIDES = samples.slides(["Size"])
BOOK = samples.book({"Sizes": [["oak", 20]]})
OPEN = samples.open_document("<text:p>Size</text:p>")
EPUB = samples.epub(["<p>Size"])
WIDE = samples.sheet([[1]]).replace(b'"A1"', b'"ZZZ1"')
PACKAGES = {
    "a.pptx": (SLIDES, "ppt/slides/slide1.xml"),
    "a.xlsx": (BOOK, "xl/worksheets/sheet1.xml"),
    "a.odt": (OPEN, "content.xml"),
    "a.epub": (EPUB, "OEBPS/book.opf"),
    "a.zip": (samples.package({"a.xml": b"<a/>", "b.txt": b"b"}), "b.txt"),
}


@pytest.mark.parametrize("name", PACKAGES)
async def test_a_bomb_in_any_package_is_too_large(tmp_path: Path, name: str) -> None:
    data, part = PACKAGES[name]
    with pytest.raises(DocumentTooLargeError) as caught:
        await extract(samples.write(tmp_path, name, with_bomb(data, part)))
    assert caught.value.metadata["limit"] == "100"


@pytest.mark.parametrize("name", PACKAGES)
async def test_too_many_entries_in_any_package_are_too_large(tmp_path: Path, name: str) -> None:
    data, _ = PACKAGES[name]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    data = samples.package({**parts, **{f"more/{number}": b"" for number in range(2_001)}})
    with pytest.raises(DocumentTooLargeError, match="2000 archive entries"):
        await extract(samples.write(tmp_path, name, data))


@pytest.mark.parametrize("entry", ["../evil.txt", "/etc/passwd"])
@pytest.mark.parametrize("name", PACKAGES)
async def test_bad_names_in_any_package_are_refused(tmp_path: Path, name: str, entry: str) -> None:
    with pytest.raises(DocumentUnreadableError, match="unsafe"):
        await extract(samples.write(tmp_path, name, samples.with_part(PACKAGES[name][0], entry, b"x")))


@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "a.zip"])
async def test_two_parts_of_one_name_in_any_package_are_refused(tmp_path: Path, name: str) -> None:
    data, part = PACKAGES[name]
    with pytest.raises(DocumentUnreadableError, match="two archive entries"):
        await extract(samples.write(tmp_path, name, samples.with_part(data, part.upper(), b"x")))


@pytest.mark.parametrize("name", PACKAGES)
async def test_an_encrypted_entry_in_any_package_is_refused(tmp_path: Path, name: str) -> None:
    data = bytearray(PACKAGES[name][0])
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DocumentUnreadableError, match="encrypted"):
        await extract(samples.write(tmp_path, name, bytes(data)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.pptx", "ppt/presentation.xml"),
        ("a.pptx", "ppt/slides/slide1.xml"),
        ("a.pptx", "ppt/_rels/presentation.xml.rels"),
        ("a.xlsx", "xl/workbook.xml"),
        ("a.xlsx", "xl/sharedStrings.xml"),
        ("a.xlsx", "xl/styles.xml"),
        ("a.xlsx", "xl/worksheets/sheet1.xml"),
        ("a.odt", "content.xml"),
        ("a.odt", "meta.xml"),
        ("a.odt", "META-INF/manifest.xml"),
        ("a.epub", "META-INF/container.xml"),
        ("a.epub", "OEBPS/book.opf"),
        ("a.epub", "OEBPS/text/c 1.xhtml"),
    ],
)
async def test_a_doctype_in_any_part_is_refused(tmp_path: Path, name: str, part: str, encoding: str) -> None:
    data = samples.with_part(PACKAGES[name][0], part, with_entity("a", encoding))
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        await extract(samples.write(tmp_path, name, data))


async def test_a_doctype_in_a_part_of_an_archive_leaves_only_its_name(tmp_path: Path) -> None:
    data = samples.package({"evil.xml": with_entity("a", "utf-16"), "good.txt": b"good"})
    extraction = await extract(samples.write(tmp_path, "a.zip", data))
    assert extraction.text == "good.txt\n\ngood"
    assert "DOCTYPE" in extraction.warnings[0]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("nested.zip", samples.package({"a.zip": samples.package({"a.txt": b"a"})}), DocumentUnreadableError),
        ("deep.xml", b"<a>" * 100_000, DocumentUnreadableError),
        ("deep.rtf", b"{\\rtf1" + b"{" * 1_000_000, DocumentUnreadableError),
        ("parts.eml", b"From: a\n" + b"Content-Type: message/rfc822\n\n" * 50_000, DocumentTooLargeError),
        (
            "wide.xlsx",
            samples.workbook({"S": samples.sheet([[1]]).replace(b'"A1"', b'"ZZZ1"')}),
            DocumentTooLargeError,
        ),
        ("tall.xlsx", samples.workbook({"S": samples.sheet([[1]], first=2_000_000)}), DocumentTooLargeError),
        ("not.zip", b"PK\x03\x04" + bytes(100), DocumentUnreadableError),
        ("bomb.docx", samples.package({"word/document.xml": bytes(20 * 1024 * 1024)}), DocumentTooLargeError),
        ("bomb.pdf", samples.flate_bomb(1, 90_000_000), DocumentTooLargeError),
        ("stacked.pdf", samples.flate_bomb(3, 90_000_000), DocumentTooLargeError),
        ("deep.json", b"[" * 200_000, DocumentUnreadableError),
        ("broken.docx", samples.simple_word()[:9000], DocumentUnreadableError),
        ("row.csv", b"a,b\n1," + b"x" * 5_000_000, DocumentTooLargeError),
        ("wide.csv", b"1," * 1_000_000, DocumentTooLargeError),
    ],
)
async def test_hostile_files_are_refused_by_name(
    tmp_path: Path, name: str, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await extract(samples.write(tmp_path, name, data))


async def test_hostile_but_harmless_texts_are_read(tmp_path: Path) -> None:
    html = b"<div>" * 5_000 + b"deep" + b"</div>" * 5_000
    assert (await extract(samples.write(tmp_path, "deep.html", html))).text == "deep"
    text = ("x" * 5_000_000 + "e" + "\u0301" * 1_000_000).encode()
    assert (await extract(samples.write(tmp_path, "long.txt", text))).text.encode() == text


async def test_large_books_stay_within_the_limits_of_a_child(tmp_path: Path) -> None:
    rows = [[f"name {number}", number, number * 1.5] for number in range(30_000)]
    extraction = await extract(samples.write(tmp_path, "a.xlsx", samples.book({"S": rows})))
    assert "name 29999" in extraction.text
    assert len(extraction.places) > 60_000


async def test_lines_that_kill_regular_expressions_are_read_in_time(tmp_path: Path) -> None:
    lines = ["a " * 199, "(" * 399, "static " * 57 + "(", "a<" * 199, "const a = (" * 36, "x::" * 130 + "("]
    code = "\n".join(lines * 2_000).encode()
    assert (await extract(samples.write(tmp_path, "a.ts", code))).text.encode() == code


def test_given_text_needs_no_child() -> None:
    extraction = extract_plain("a\r\nb\0", " The\ntitle ")
    assert (extraction.text, extraction.title, extraction.media_type) == ("a\nb", "The title", "text/plain")
    with pytest.raises(DocumentEmptyError):
        extract_plain(" \u200b\n", "title")
    with pytest.raises(DocumentUnreadableError):
        extract_plain("\udc00", None)
