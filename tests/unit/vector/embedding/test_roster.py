"""Which model is asked for which vectors."""

from __future__ import annotations

from services.vector.embedding.ports import ModelName, name_of
from services.vector.embedding.roster import Roster
from tests.contract.vector.world import WordEmbedder

NEW = WordEmbedder("new", 8, "r2")
OLD = WordEmbedder("old", 4)


def test_a_model_is_found_by_all_that_its_vectors_depend_on() -> None:
    roster = Roster(NEW, [OLD])
    assert roster.find(ModelName("new", 8, "r2")) is NEW
    assert roster.find(ModelName("new", 8, "r1")) is None
    assert roster.find(ModelName("new", 9, "r2")) is None
    # What was stored before revisions were known.
    assert roster.find(ModelName("new", 8)) is NEW
    assert roster.find(ModelName("old", 4, "any")) is OLD
    assert roster.find(name_of(OLD)) is OLD


def test_people_name_a_model_and_the_configured_one_needs_no_name() -> None:
    roster = Roster(NEW, [OLD])
    assert roster.named("") is NEW
    assert roster.named("old") is OLD
    assert roster.named("Old") is None


def test_a_name_tells_people_what_it_stands_for() -> None:
    assert str(ModelName("m", 4)) == "m (4 dimensions)"
    assert str(ModelName("m", 4, "r")) == "m (4 dimensions, revision r)"


class _Choosy(WordEmbedder):
    def reads(self, text: str) -> bool:
        return text.isascii()


def test_only_a_model_that_can_tell_what_it_reads_is_asked() -> None:
    choosy = _Choosy("choosy", 4)
    roster = Roster(NEW, [choosy])
    assert roster.reader(name_of(choosy)) is choosy
    assert roster.reader(name_of(NEW)) is None
    assert roster.reader(ModelName("gone", 3)) is None
