"""What stated numbers decide, against values computed by hand."""

from __future__ import annotations

import pytest

from services.agents.deciding.matrix import Matrix, Stated
from services.agents.deciding.tables import read_csv
from services.agents.deciding.weighing import weigh

HOUSES = """house,price,garden,way
unit,kEUR,m2,min
weight,5,3,2
direction,lower,higher,lower
Ash,300,200,30
Beech,400,500,10
Cedar,350,300,20
"""


def stated(text: str) -> Matrix:
    read = Stated()
    read_csv(text, read)
    return read.matrix()


def test_the_weighted_sum_is_that_of_the_book() -> None:
    outcome = weigh(stated(HOUSES))
    # Ash: 0.5*1 + 0.3*0 + 0.2*0; Beech: 0.5*0 + 0.3*1 + 0.2*1; Cedar: 0.5*0.5 + 0.3/3 + 0.2*0.5.
    sums = {item.option: item.low for item in outcome.options}
    assert sums == pytest.approx({"Ash": 0.5, "Beech": 0.5, "Cedar": 0.45})
    assert outcome.decision == ""
    assert set(outcome.ties) == {"Ash", "Beech"}
    assert "the same weighted sum" in outcome.reason


def test_the_best_sum_decides_and_the_flips_say_what_would_change_it() -> None:
    outcome = weigh(stated(HOUSES.replace("weight,5,3,2", "weight,6,3,1")))
    assert outcome.decision == "Ash"
    assert [item.option for item in outcome.options] == ["Ash", "Cedar", "Beech"]
    assert "0.600" in outcome.reason
    flips = {(flip.criterion, flip.option): flip for flip in outcome.flips}
    # Price w, the rest 3:1. Ash has w, Beech 1-w, Cedar w/2 + 3(1-w)/8: first level with Beech, at w = 1/2.
    assert flips["price", "Beech"].flip_share == pytest.approx(1 / 2)
    assert flips["price", "Beech"].share == pytest.approx(0.6)
    for price, leader in ((0.51, "Ash"), (0.49, "Beech")):
        weights = f"weight,{price},{0.75 * (1 - price)},{0.25 * (1 - price)}"
        assert weigh(stated(HOUSES.replace("weight,5,3,2", weights))).decision == leader
    # The smallest change comes first.
    changes = [abs(flip.flip_share - flip.share) for flip in outcome.flips]
    assert changes == sorted(changes)


def test_a_missing_score_is_not_zero_and_keeps_the_decision_open() -> None:
    text = "o,quality,safety\nweight,1,1\nA,6,8\nB,9,\nC,0,0\n"
    outcome = weigh(stated(text))
    found = {item.option: item for item in outcome.options}
    # B: 0.5*1 + 0.5*(0..1); A: 0.5*6/9 + 0.5*1.
    assert (found["B"].low, found["B"].high) == pytest.approx((0.5, 1.0))
    assert found["A"].low == found["A"].high == pytest.approx(0.5 * 6 / 9 + 0.5)
    assert not found["B"].complete
    assert outcome.decision == ""
    assert "safety of B" in outcome.reason
    assert any("missing score" in text for text in outcome.assumptions)


def test_a_missing_score_that_cannot_matter_does_not_keep_it_open() -> None:
    outcome = weigh(stated("o,quality,safety\nweight,3,1\nA,9,9\nB,1,\nC,0,0\n"))
    assert outcome.decision == "A"
    assert "at most" in outcome.reason


def test_an_option_that_breaks_a_limit_or_is_not_shown_to_hold_it_is_excluded() -> None:
    outcome = weigh(stated("o,cost,quality\nat most,100,\nweight,1,1\nA,120,9\nB,90,5\nC,,7\n"))
    excluded = {item.option: item.excluded for item in outcome.options if item.excluded}
    assert set(excluded) == {"A", "C"}
    assert "120" in excluded["A"][0]
    assert "missing" in excluded["C"][0]
    assert outcome.decision == "B"
    assert "only option" in outcome.reason


def test_nothing_that_holds_is_no_decision() -> None:
    outcome = weigh(stated("o,cost\nat most,10\nA,120\nB,90\n"))
    assert (outcome.decision, outcome.reason) == ("", "No option is shown to hold what it has to.")


def test_without_weights_only_dominance_decides() -> None:
    open_ = weigh(stated("o,cost,quality\nA,10,5\nB,20,9\nC,10,4\n"))
    assert open_.decision == ""
    assert "No weights were given" in open_.reason
    dominated = {item.option: item.dominated_by for item in open_.options}
    assert dominated == {"A": (), "B": (), "C": ("A",)}
    sure = weigh(stated("o,cost,quality\nA,10,9\nB,20,5\n"))
    assert sure.decision == "A"
    assert "each criterion" in sure.reason


def test_a_direction_that_nobody_said_and_no_name_tells_is_asked_for() -> None:
    outcome = weigh(stated("o,colour\nweight,1\nA,3\nB,4\n"))
    assert outcome.decision == ""
    assert "colour" in outcome.reason
    named = weigh(stated("o,price\nweight,1\nA,3\nB,4\n"))
    assert named.decision == "A"
    assert "Lower is better for price, by its name." in named.assumptions


def test_a_criterion_that_counts_and_has_no_scores_keeps_the_decision_open() -> None:
    outcome = weigh(stated("o,cost,quality\nweight,1,4\nA,10,\nB,20,\n"))
    assert outcome.decision == ""
    assert "quality" in outcome.reason


def test_a_stated_scale_is_used_instead_of_the_options_own() -> None:
    read = Stated()
    read_csv("o,quality\nweight,1\nA,6\nB,8\n", read)
    read.criterion("quality", "$", scale=(0.0, 10.0))
    outcome = weigh(read.matrix())
    assert {item.option: item.low for item in outcome.options} == pytest.approx({"A": 0.6, "B": 0.8})
    assert not any("own lowest" in text for text in outcome.assumptions)


def test_no_scores_are_no_decision() -> None:
    read = Stated()
    read.option("A", "$")
    read.option("B", "$")
    outcome = weigh(read.matrix())
    assert "No scores were given" in outcome.reason
    assert [item.counted for item in outcome.options] == [False, False]


def test_one_option_is_no_choice() -> None:
    assert "at least two" in weigh(stated("o,cost\nA,1\n")).reason
