"""The numbers of the sandbox's bench."""

from __future__ import annotations

from bench.sandbox import Way, bare, measure, table


def test_ratios_are_to_the_bare_start() -> None:
    lines = table(
        [
            Way("bare", bare, [0.010, 0.020, 0.030], [0.0, 0.0, 0.0]),
            Way("landlock", bare, [0.040, 0.050, 0.060], [0.020, 0.021, 0.022]),
        ]
    )

    assert [line.split()[0] for line in lines] == ["start", "bare", "landlock"]
    assert lines[1].endswith(" 1.00x")
    assert lines[2].endswith(" 2.50x")
    assert "50.0 ms" in lines[2]
    assert "21.0 ms" in lines[2]


async def test_every_way_is_measured_in_every_round() -> None:
    found = await measure(2)

    assert found[0].name == "bare"
    assert all(len(way.seconds) == len(way.inside) == 2 for way in found)
    assert all(0 < way.inside[0] < way.seconds[0] for way in found[1:])
