"""How soon the page is painted in Chromium, beside one bare file: `python -m bench.page`.

Each round opens three pages one after the other, each in a window without a cache: the page as the gateway
serves it, the same files from a plain file server (which answers the page's calls with 404), and from that
server one file of HTML without style or script: the floor of what browser and machine can do. "Again" is the
page in the same window once more. Times are first contentful paint after the navigation began, by the
browser's clock. Needs Debian's chromium on PATH. The load of the machine is printed as well, for it decides
as much.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from services.gateway.routes.page import FOLDER
from tests.browser.conftest import DESKTOP, FLAGS
from tests.support.launched import launched

_BARE = "<!doctype html><html lang=en><meta charset=utf-8><title>Bare</title><h1>Bare</h1>"
_PAINTED = """() => new Promise((told) => new PerformanceObserver((list, observer) => {
    const [paint] = list.getEntriesByName("first-contentful-paint");
    if (paint) { observer.disconnect(); told(paint.startTime); }
}).observe({ type: "paint", buffered: true }))"""
_SCRIPT = """() => performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".js"))
    .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)"""


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """The result has its own words."""


@contextmanager
def files(folder: Path) -> Iterator[str]:
    """Serves a folder on a free port; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def painted(page: Page, url: str) -> float:
    """Milliseconds to the first contentful paint."""
    page.goto(url, wait_until="load")
    return float(page.evaluate(_PAINTED))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        parser.error("no chromium on PATH; apt-get install chromium")
    found: dict[str, list[float]] = {"gateway": [], "again": [], "same files": [], "bare file": []}
    with tempfile.TemporaryDirectory() as directory:
        static = Path(directory) / "static"
        shutil.copytree(FOLDER, static / "assets")
        shutil.copy(FOLDER / "index.html", static / "index.html")
        (static / "bare.html").write_text(_BARE)
        size = ViewportSize(width=DESKTOP["width"], height=DESKTOP["height"])
        with launched(Path(directory) / "house") as house, files(static) as plain, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=list(FLAGS))
            addresses = {
                "gateway": house.base_url,
                "same files": f"{plain}/index.html",
                "bare file": f"{plain}/bare.html",
            }
            load = os.getloadavg()[0]
            for number in range(arguments.rounds + 1):
                for name, url in addresses.items():
                    context = browser.new_context(viewport=size)
                    page = context.new_page()
                    times = {name: painted(page, url)}
                    if name == "gateway":
                        page.wait_for_selector("#agent option:nth-child(2)", state="attached")
                        script = page.evaluate(_SCRIPT)
                        times["again"] = painted(page, url)
                    context.close()
                    # The first round starts the browser's processes.
                    for one, milliseconds in times.items() if number else ():
                        found[one].append(milliseconds)
            browser.close()
    print(f"script of the first view  {script:7,} bytes")
    for name, times_of in found.items():
        low, middle, high = min(times_of), statistics.median(times_of), max(times_of)
        print(f"first paint, {name:12} {middle:5.0f} ms  ({low:.0f} to {high:.0f}, {len(times_of)} times)")
    print(
        f"load of the machine       {load:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
