"""Expositions of several workers as one."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from services.gateway.metrics import WorkerMetrics, merge, retire

ONE = """# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="/a"} 3.0
requests_total{route="/b"} 1.0
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="1.0"} 1.0
seconds_bucket{le="+Inf"} 2.0
seconds_count 2.0
seconds_sum 3.5
# HELP active Now.
# TYPE active gauge
active 2.0
# HELP process_resident_memory_bytes Memory.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 50.0
# HELP process_start_time_seconds Start.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1000.0
"""
TWO = ONE.replace('"/b"} 1.0', '"/c"} 5.0').replace("1000.0", "2000.0")


def values(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_histograms_and_gauges_add_up() -> None:
    got = values(merge([ONE, TWO]).decode())
    assert got["requests_total[('route', '/a')]"] == 6
    assert got["requests_total[('route', '/b')]"] == 1
    assert got["requests_total[('route', '/c')]"] == 5
    assert got["seconds_bucket[('le', '1.0')]"] == 2
    assert got["seconds_bucket[('le', '+Inf')]"] == 4
    assert (got["seconds_count"], got["seconds_sum"], got["active"]) == (4, 7, 4)
    assert got["process_resident_memory_bytes"] == 100


def test_the_youngest_worker_tells_the_start_whoever_is_asked() -> None:
    """So a rule about restarts sees a change when there was one, and none when another worker answers."""
    for texts in ([ONE, TWO], [TWO, ONE]):
        assert values(merge(texts).decode())["process_start_time_seconds"] == 2000


def test_one_exposition_stays_what_it_is() -> None:
    assert values(merge([ONE]).decode()) == values(ONE)


def test_a_worker_that_has_gone_leaves_its_counters(tmp_path: Path) -> None:
    (tmp_path / "77.prom").write_text(ONE)
    retire(tmp_path, 77)
    retire(tmp_path, 78)
    got = values(WorkerMetrics(tmp_path, TWO.encode).merged().decode())
    assert got["requests_total[('route', '/a')]"] == 6
    assert got["active"] == 2
    assert got["process_start_time_seconds"] == 2000


def test_a_workers_file_is_fresh_when_it_stops(tmp_path: Path) -> None:
    metrics = WorkerMetrics(tmp_path, ONE.encode)
    metrics.start()
    metrics.stop()
    (written,) = tmp_path.iterdir()
    assert written.read_text() == ONE
