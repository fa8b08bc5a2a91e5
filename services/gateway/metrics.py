"""One exposition for all workers of the gateway.

Each worker writes its own measurements into a file; whoever is asked adds them
up. A worker that has gone leaves its counters behind, so that a sum never falls.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

_SUFFIX = ".prom"
_FLUSH_SECONDS = 0.5
# These describe: to add them up tells nothing. Of the second kind the highest of all workers counts, so that
# whichever worker answers, a scrape sees the same, and a new worker as a new start.
_DESCRIPTIONS = frozenset(("target", "python_info"))
_HIGHEST = frozenset(("process_start_time_seconds", "process_max_fds"))


class WorkerMetrics:
    """This worker's file, kept fresh by a thread, and the sum over all files of the folder.

    exposition gives this process's own measurements.
    """

    def __init__(self, folder: Path, exposition: Callable[[], bytes]) -> None:
        self._folder = folder
        self._exposition = exposition
        self._path = folder / f"{os.getpid()}{_SUFFIX}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="metrics", daemon=True)

    def start(self) -> None:
        """Begins to write the file twice a second."""
        self._thread.start()

    def stop(self) -> None:
        """Writes the last state and leaves it for the others."""
        self._stopped.set()
        self._thread.join(_FLUSH_SECONDS)
        self._write()

    def _keep_fresh(self) -> None:
        while not self._stopped.wait(_FLUSH_SECONDS):
            self._write()

    def _write(self) -> None:
        # The folder is taken away when the whole gateway stops.
        with contextlib.suppress(FileNotFoundError):
            beside = self._path.with_suffix(f".{threading.get_ident()}")
            beside.write_bytes(self._exposition())
            beside.replace(self._path)

    def merged(self) -> bytes:
        """The sum over all workers, this one as it is now, the others as of half a second ago."""
        texts = [self._exposition().decode()]
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path != self._path:
                with contextlib.suppress(FileNotFoundError):
                    texts.append(path.read_text())
        return merge(texts)


def retire(folder: Path, pid: int) -> None:
    """Keeps the counters of a worker that has ended; what it held at that time is gone with it."""
    path = folder / f"{pid}{_SUFFIX}"
    with contextlib.suppress(FileNotFoundError):
        left = merge([path.read_text()], keep=lambda metric: metric.type in ("counter", "histogram"))
        # In one step: whoever adds the files up meanwhile must not find it half written.
        beside = path.with_suffix(".retired")
        beside.write_bytes(left)
        beside.replace(path)


def merge(texts: Iterable[str], keep: Callable[[Metric], bool] = lambda _: True) -> bytes:
    """Adds expositions up, sample by sample; what only describes a process is kept."""
    families: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for metric in text_string_to_metric_families(text):
            if not keep(metric):
                continue
            families.setdefault(metric.name, metric)
            known = sums.setdefault(metric.name, {})
            for sample in metric.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key not in known:
                    known[key] = sample.value
                elif metric.name in _HIGHEST:
                    known[key] = max(known[key], sample.value)
                elif metric.name not in _DESCRIPTIONS:
                    known[key] += sample.value
    registry = CollectorRegistry()
    registry.register(_Fixed(families, sums))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(
        self,
        families: dict[str, Metric],
        sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]],
    ) -> None:
        self._families = families
        self._sums = sums

    def collect(self) -> Iterable[Metric]:
        for name, family in self._families.items():
            metric = Metric(family.name, family.documentation, family.type)
            for (sample, labels), value in self._sums[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
