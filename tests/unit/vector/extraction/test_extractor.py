"""The door, with real children: what they read, and what they may do to the service, which is nothing."""

import asyncio
import codecs
import hashlib
import os
import sys
import time
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
    assert time.monotonic() - began < 5
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


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
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


def test_given_text_needs_no_child() -> None:
    extraction = extract_plain("a\r\nb\0", " The\ntitle ")
    assert (extraction.text, extraction.title, extraction.media_type) == ("a\nb", "The title", "text/plain")
    with pytest.raises(DocumentEmptyError):
        extract_plain(" \u200b\n", "title")
    with pytest.raises(DocumentUnreadableError):
        extract_plain("\udc00", None)
