"""Differences name the place where two runs part."""

from __future__ import annotations

from services.agents.journal.difference import between


def test_texts_are_shown_around_the_place_where_they_part() -> None:
    one = {"messages": [{"text": "x" * 100 + "old" + "y" * 500}, {"text": "same"}]}
    other = {"messages": [{"text": "x" * 100 + "new" + "y" * 500}, {"text": "same"}]}
    found = between("model", 7, one, other)
    assert found.path == "$.messages[0].text from character 100"
    assert "xold" in found.recorded
    assert "xnew" in found.repeated
    assert len(found.recorded) < 130
    assert (found.kind, found.position) == ("model", 7)
    assert "model at position 7" in str(found)


def test_values_lists_and_absence_are_named() -> None:
    assert between("search", 1, {"top_k": 5}, {"top_k": None}).path == "$.top_k"
    longer = between("embed", 1, {"texts": ["a"]}, {"texts": ["a", "b"]})
    assert (longer.path, longer.recorded, longer.repeated) == ("$.texts[1]", "", '"b"')
    shorter = between("embed", 1, ["a", "b"], ["a"])
    assert (shorter.recorded, shorter.repeated) == ('"b"', "")
    assert between("tool", 3, None, {"tool": "x"}).recorded == ""
    added = between("event", 1, {"a": 1}, {"a": 1, "b": 2})
    assert (added.path, added.repeated) == ("$.b", "2")
