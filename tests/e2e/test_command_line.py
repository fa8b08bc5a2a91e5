"""The command line at a running house, as a person in a terminal and as a script uses it."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_interrupted_runs import soon
from tests.support.launched import ROOT, House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SENTENCE = "The harbour of Elmsund is fourteen metres deep."


def environment(house: House, folder: Path) -> dict[str, str]:
    """Of a user: no setting but where the house is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELD_", "XDG_"))}
    return {
        **kept,
        "MELD_URL": house.base_url,
        "XDG_CONFIG_HOME": str(folder),
        "PYTHONPATH": str(ROOT / "clients" / "meld"),
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "LINES": "40",
    }


def meld(house: House, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command whose output goes into pipes."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "meldrag_cli", *arguments],
        cwd=folder,
        env={**environment(house, folder), **more},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


class Screen:
    """A command in a pseudo-terminal. text: all that it has written, with what is meant for the terminal."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *arguments: str) -> None:
        self.text = ""
        self._terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meldrag_cli", *arguments],
            cwd=folder,
            env=dict(environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, pattern: str, seconds: float = 90) -> str:
        """Reads until the pattern stands there, or the end. Returns what is written then."""
        end = time.monotonic() + seconds
        while not (pattern and re.search(pattern, self.text)):
            assert time.monotonic() < end, f"{pattern!r} did not come:\n{self.text}"
            ready, _, _ = select.select([self._terminal], [], [], 0.2)
            if not ready:
                continue
            try:
                piece = os.read(self._terminal, 65536)
            except OSError:
                piece = b""
            if not piece:
                break
            self.text += piece.decode(errors="replace")
        return self.text

    def type(self, text: str) -> None:
        """Presses keys."""
        os.write(self._terminal, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit code and all that was written, without what moves and colours."""
        self.until("")
        code = self.process.wait(60)
        os.close(self._terminal)
        return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("user")
    documents = there / "documents"
    (documents / "deep").mkdir(parents=True)
    (documents / "harbour.md").write_text(f"# Elmsund\n\n{SENTENCE} Its light has burned since 1871.\n")
    (documents / "deep" / "long.txt").write_text(
        "\n\n".join(f"Paragraph {number} of the log of the pilot of Varnholm." * 8 for number in range(200))
    )
    (documents / "noise.bin").write_bytes(b"\0\1\2\3")
    return there


@pytest.fixture(scope="module")
def ingested(house: House, folder: Path) -> Screen:
    """Files sent from a terminal, until all is over."""
    arguments = ["ingest", "documents", "-c", "shore", "--create"]
    screen = Screen(environment(house, folder), folder, *arguments)
    screen.until("")
    return screen


def test_bars_show_each_file_and_all_of_them(ingested: Screen) -> None:
    raw = ingested.text
    assert "━" in raw
    assert "\x1b[" in raw
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    assert re.search(r"all files\s+[━╸╺ ]+\s+0%", plain)
    assert re.search(r"documents/deep/long\.txt\s+[━╸╺ ]+\s+\d+%\s+(sending|reading|embedding)", plain)
    assert ingested.process.wait(10) == 1
    assert "2 files taken into shore, 0 there already, 1 failed" in plain
    assert re.search(r"failed\s+documents/noise\.bin: .*\(FORMAT_UNSUPPORTED, request [0-9a-f]{32}\)", plain)


def test_a_repeat_does_no_harm(house: House, folder: Path, ingested: Screen) -> None:
    again = meld(house, folder, "ingest", "documents", "-c", "shore", "--exclude", "*.bin", "--json")
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert again.returncode == 0, again.stderr
    assert lines[-1] == {"collection": "shore", "taken": 0, "existing": 2, "failed": 0}
    listed = json.loads(meld(house, folder, "documents", "list", "-c", "shore", "--json").stdout)
    ready = [each["filename"] for each in listed["documents"] if each["state"] == "READY"]
    assert sorted(ready) == ["harbour.md", "long.txt"]


def test_a_file_comes_back_as_it_was_sent(house: House, folder: Path, ingested: Screen) -> None:
    listed = json.loads(meld(house, folder, "documents", "list", "-c", "shore", "--json").stdout)
    for each in listed["documents"]:
        if each["state"] != "READY":
            continue
        command = ("documents", "original", each["id"], "-c", "shore", "-o", f"back-{each['filename']}")
        assert meld(house, folder, *command).returncode == 0
        sent = next((folder / "documents").rglob(each["filename"]))
        assert (folder / f"back-{each['filename']}").read_bytes() == sent.read_bytes()
        again = meld(house, folder, *command, "--json")
        assert (again.returncode, json.loads(again.stderr)["error"]["reason"]) == (2, "FILE_EXISTS")


def test_bytes_that_are_there_under_another_name_are_told_with_that_name(
    house: House, folder: Path, ingested: Screen
) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(folder / "documents" / "harbour.md", elsewhere / "lights.md")
    shutil.copy(folder / "documents" / "harbour.md", elsewhere / "harbour.md")

    told = meld(house, folder, "ingest", "elsewhere", "-c", "shore").stdout.splitlines()

    assert [row.split(": ")[0] for row in sorted(told[:2])] == [
        "existing elsewhere/harbour.md",
        "existing elsewhere/lights.md",
    ]
    assert [row.rpartition(", ")[2] for row in sorted(told[:2])] == ["1 passage", "as harbour.md"]


def test_a_file_takes_the_place_of_what_came_from_the_same_path(
    house: House, folder: Path, ingested: Screen
) -> None:
    (folder / "tide.md").write_text("The tide of Oyhavn is low at six.\n")
    asked = ["ingest", "tide.md", "-c", "tides", "--create", "--replace"]
    assert meld(house, folder, *asked).returncode == 0
    (folder / "tide.md").write_text("The tide of Oyhavn is low at seven.\n")
    assert meld(house, folder, *asked).returncode == 0
    found = json.loads(meld(house, folder, "search", "tide", "-c", "tides", "--json").stdout)
    assert [hit["text"].strip() for hit in found["hits"]] == ["The tide of Oyhavn is low at seven."]


def test_an_answer_has_its_sources_and_no_colour_outside_a_terminal(
    house: House, folder: Path, ingested: Screen
) -> None:
    done = meld(house, folder, "ask", "How deep is the harbour of Elmsund?", "-c", "shore", FORCE_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert f"{SENTENCE} [1]" in done.stdout
    assert re.search(rf"\n\nSources\n\[1\] Elmsund, line 3 \(bytes 11-58\): “{SENTENCE}”\n", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_an_answer_in_a_terminal_is_written_as_it_comes(house: House, folder: Path, ingested: Screen) -> None:
    screen = Screen(
        environment(house, folder), folder, "ask", "How deep is the harbour of Elmsund?", "-c", "shore"
    )
    code, text = screen.end()
    assert code == 0
    assert text.count(f"{SENTENCE} [1]") == 1
    assert text.index(f"{SENTENCE} [1]") < text.index("Sources")


def test_a_conversation_is_kept_and_exported_and_its_run_is_the_same_again(
    house: House, folder: Path, ingested: Screen
) -> None:
    asked = meld(house, folder, "ask", "How deep is the harbour?", "-c", "shore", "--new-session", "--json")
    events = [json.loads(line) for line in asked.stdout.splitlines()]
    result = events[-1]["ended"]["result"]
    shown = meld(house, folder, "sessions", "show", result["session_id"])
    assert result["run_id"] in shown.stdout
    exported = meld(house, folder, "sessions", "export", result["session_id"])
    assert SENTENCE in exported.stdout
    assert exported.stdout.startswith("# ")
    assert result["session_id"] in meld(house, folder, "sessions", "list").stdout
    for words in (["HARBOUR", "elmsu"], ['"how deep is"']):
        found = meld(house, folder, "sessions", "search", *words)
        assert result["session_id"] in found.stdout, found.stderr
    nothing = meld(house, folder, "sessions", "search", "harbours")
    assert nothing.stdout == "nothing was said with all of it\n"
    replayed = meld(house, folder, "replay", result["run_id"])
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert "is the same" in replayed.stdout


def test_an_agent_works_on_inputs_of_its_own(house: House, folder: Path) -> None:
    code = {"path": "sum.py", "content": "def total(values):\n    return sum(values)\n"}
    (folder / "code.json").write_text(json.dumps({"message": "Review this code.", "files": [code]}))
    done = meld(house, folder, "run", "code_analyzer", "--input", "code.json", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])["ended"]["result"]
    assert result["agent"] == "code_analyzer"
    assert result["result"]


def test_a_step_that_waits_is_asked_about_in_a_terminal(house: House, folder: Path, ingested: Screen) -> None:
    objective = (
        "Find out how deep the harbour of Elmsund is, "
        "then find out from the documents since when its light burns."
    )
    arguments = ["workflow", "run", "plan", objective, "-c", "shore"]
    screen = Screen(environment(house, folder), folder, *arguments)
    screen.until(r"Approve\? \[y/N\]")
    screen.type("y\n")
    code, text = screen.end()
    assert code == 0, text
    assert "step approve: SUCCEEDED" in text
    assert "fourteen metres" in text


# A workflow that waits for a decision works for as long as anybody lets it.
WAITING = ("workflow", "run", "plan", "Find out how deep the harbour is.", "-c", "shore")


def running(house: House) -> str:
    """The one workflow that works."""
    runs = httpx.get(f"{house.base_url}/api/v1/runs", timeout=30).json()["runs"]
    [run_id] = [each["run_id"] for each in runs if each["state"] == "RUNNING" and each["agent"] == "executor"]
    return str(run_id)


def cancelled(house: House, run_id: str) -> None:
    """Waits until the server has stopped it."""
    url = f"{house.base_url}/api/v1/runs/{run_id}"
    soon(lambda: httpx.get(url, timeout=30).json()["state"] == "CANCELLED")


def test_ctrl_c_at_a_question_cancels_the_run_on_the_server(
    house: House, folder: Path, ingested: Screen
) -> None:
    screen = Screen(environment(house, folder), folder, *WAITING)
    screen.until(r"Approve\?")
    run_id = running(house)
    os.killpg(screen.process.pid, signal.SIGINT)
    code, text = screen.end()
    assert code == 130
    assert f"{run_id} is cancelled" in text
    cancelled(house, run_id)


def test_ctrl_c_while_events_are_awaited_cancels_the_run_on_the_server(
    house: House, folder: Path, ingested: Screen
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "meldrag_cli", *WAITING],
        cwd=folder,
        env=environment(house, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = [process.stderr.readline(), process.stderr.readline()]
    run_id = running(house)
    assert told[1] == f"decide with: meld workflow decide {run_id} approve --approve\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"{run_id} is cancelled" in err
    cancelled(house, run_id)


def test_what_is_deleted_leaves_a_receipt(house: House, folder: Path) -> None:
    (folder / "gone.md").write_text("Gone soon.\n")
    sent = meld(house, folder, "ingest", "gone.md", "-c", "bin", "--create", "--json")
    document: dict[str, Any] = json.loads(sent.stdout.splitlines()[0])["document"]
    deleted = meld(house, folder, "documents", "delete", document["id"], "-c", "bin")
    assert deleted.returncode == 0
    assert "1 document deleted, 1 passage\nleft: nothing" in deleted.stdout
    refused = meld(house, folder, "documents", "delete", document["id"], "-c", "bin", "--json")
    assert refused.returncode == 1
    error = json.loads(refused.stderr)["error"]
    assert error["reason"] == "DOCUMENT_NOT_FOUND"
    assert re.fullmatch(r"[0-9a-f]{32}", error["request_id"])
    assert meld(house, folder, "collections", "delete", "bin").returncode == 2
    assert meld(house, folder, "collections", "delete", "bin", "--yes").returncode == 0
    assert "bin" not in meld(house, folder, "collections", "list").stdout.split()


def test_the_doctor_and_the_lists_tell_what_there_is(house: House, folder: Path) -> None:
    assert json.loads(meld(house, folder, "doctor", "--json").stdout)["status"] == "ready"
    assert "code_repair" in meld(house, folder, "agents", "list").stdout
    assert "run_tests" in meld(house, folder, "agents", "show", "code_repair").stdout
    assert "investigate" in meld(house, folder, "workflow", "list").stdout
    assert "you decide" in meld(house, folder, "workflow", "show", "plan").stdout


def test_the_shell_completes_agents_by_asking_the_house(house: House, folder: Path) -> None:
    shell = {"_MELD_COMPLETE": "complete_bash", "COMP_WORDS": "meld run code_", "COMP_CWORD": "2"}
    done = meld(house, folder, **shell)
    assert done.stdout.split() == ["code_analyzer", "code_debugger", "code_repair"]


def test_pages_are_fetched_and_asked_about(house: House, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "harbour.html").write_text(f"<title>The harbour</title><p>{SENTENCE}</p>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(shown))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        good, bad = f"{at}/harbour.html", f"{at}/nothing"
        name = f"pages-{secrets.token_hex(4)}"
        told = meld(house, tmp_path, "fetch", good, bad, "-c", name, "--create", "--json")
        again = meld(house, tmp_path, "fetch", good, "-c", name)
        server.shutdown()
    taken, failed = map(json.loads, told.stdout.splitlines())
    assert (told.returncode, failed["error"]["reason"]) == (1, "FETCH_FAILED")
    assert (taken["document"]["title"], taken["document"]["external_id"]) == ("The harbour", good)
    assert (again.returncode, again.stdout.startswith(f"existing {good}: ")) == (0, True)
    asked = meld(house, tmp_path, "ask", "How deep is the harbour of Elmsund?", "-c", name)
    assert SENTENCE in asked.stdout
