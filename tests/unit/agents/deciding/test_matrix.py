"""What a caller states of a decision."""

from __future__ import annotations

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.deciding.matrix import Better, state
from services.chassis.errors import InvalidArgumentError


def inputs(**fields: object) -> results_pb2.CeoInputs:
    return results_pb2.CeoInputs(**fields)  # type: ignore[arg-type] # by name


def test_inputs_become_a_matrix_under_the_names_as_first_written() -> None:
    matrix = state(
        inputs(
            options=["Red  bike", "Blue bike"],
            criteria=[
                results_pb2.Criterion(name="Price", weight=2, unit="EUR", scale_low=0, scale_high=100),
                results_pb2.Criterion(name="ride", direction=results_pb2.DIRECTION_HIGHER),
            ],
            scores=[
                results_pb2.OptionScore(option="red bike", criterion="PRICE", value=40),
                results_pb2.OptionScore(option="Tram", criterion="ride", value=-1),
            ],
            constraints=[results_pb2.Constraint(criterion="price", at_least=0, at_most=50)],
        )
    ).matrix()
    assert matrix.options == ("Red bike", "Blue bike", "Tram")
    assert matrix.values == {("Red bike", "Price"): 40, ("Tram", "ride"): -1}
    price, ride = matrix.criteria
    assert (price.better, price.assumed, price.scale) == (Better.LOWER, True, (0, 100))
    assert (price.at_least, price.at_most) == (0, 50)
    assert (ride.better, ride.assumed) == (Better.HIGHER, False)


@pytest.mark.parametrize(
    ("given", "path", "cause"),
    [
        ({"options": ["a"] * 2 + [f"o{i}" for i in range(20)]}, "$.options", "more than 20"),
        ({"options": [" "]}, "$.options[0]", "name"),
        (
            {"criteria": [results_pb2.Criterion(name=f"c{i}") for i in range(21)]},
            "$.criteria",
            "more than 20",
        ),
        ({"criteria": [results_pb2.Criterion(name="c", weight=-1)]}, "$.criteria", "at least 0"),
        ({"criteria": [results_pb2.Criterion(name="c", scale_low=1)]}, "$.criteria[0]", "a highest"),
        (
            {"criteria": [results_pb2.Criterion(name="c", scale_low=1, scale_high=1)]},
            "$.criteria",
            "lower to a higher",
        ),
        (
            {
                "criteria": [results_pb2.Criterion(name="c", scale_low=1, scale_high=2)],
                "scores": [results_pb2.OptionScore(option="o", criterion="c", value=3)],
            },
            "$.criteria",
            "outside its scale",
        ),
        (
            {"scores": [results_pb2.OptionScore(option="o", criterion="c", value=v) for v in (1, 2)]},
            "$.scores[1]",
            "two scores",
        ),
        (
            {"criteria": [results_pb2.Criterion(name="c", weight=w) for w in (1, 2)]},
            "$.criteria[1]",
            "two values for weight",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(given: dict[str, object], path: str, cause: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        state(inputs(**given)).matrix()
    assert (caught.value.reason, caught.value.metadata["path"]) == ("INPUTS_INVALID", path)
    assert cause in caught.value.metadata["cause"]
