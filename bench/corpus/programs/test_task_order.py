import pytest
from task_order import task_order


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, []),
        ({"a": []}, ["a"]),
        ({"b": [], "a": ["b"]}, ["b", "a"]),
        ({"a": ["b"], "b": ["a"]}, None),
        ({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}, ["a", "b", "c", "d"]),
        ({"x": [], "a": [], "m": ["x"]}, ["a", "x", "m"]),
        ({"a": [], "b": ["a", "c"], "c": ["b"]}, None),
        ({"z": [], "b": ["z"], "c": ["z"], "a": ["b"]}, ["z", "b", "a", "c"]),
    ],
)
def test_task_order(needs, expected):
    assert task_order(needs) == expected
