"""Runs a job as a plain process in a temporary folder: for tests of what runs inside, where no sandbox is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from services.sandbox.model import End, Job, Outcome


class PlainSandbox:
    """Limits the time of the clock only. The programs are the repository's own."""

    async def run(self, job: Job) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, content in job.files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            name = Path(sys.executable).name if job.argv[0] == "python" else job.argv[0]
            argv = [str(Path(sys.executable).with_name(name)), *job.argv[1:]]
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=root,
                env={"PATH": os.environ.get("PATH", ""), **job.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            end = End.EXITED
            try:
                async with asyncio.timeout(job.limits.seconds):
                    out, err = await process.communicate()
            except TimeoutError:
                end, out, err = End.TIME, b"", b""
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            files = {name: (root / name).read_bytes() for name in job.collect if (root / name).is_file()}
            code = process.returncode
            return Outcome(end, code, out, err, time.monotonic() - started, files, end.value)
