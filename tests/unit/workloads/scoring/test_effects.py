"""Effects of keys: Student's interval, labels in their order, and an importance that is the same again."""

import numpy as np
import pytest

from workloads.scoring.effects import importances, labels_of, levels_of, ordered


def test_the_interval_is_students():
    points = [{"key": "a"}] * 3 + [{"key": "b"}]
    a, b = levels_of(points, np.array([1.0, 2.0, 3.0, 9.0]), "key")
    assert a.mean == 2
    assert a.interval == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)  # t of 2 degrees is 4.3027
    assert (b.mean, b.interval) == (9, None)


def test_many_numbers_are_put_together_by_fifths():
    values = list(np.linspace(0, 1, 100))
    assert len(ordered(values)) == 5
    assert ordered(values)[0] == labels_of(values)[0] == "0 to 0.2"
    assert ordered(["b", "a"]) == ["a", "b"]
    assert ordered([10, 9.5]) == ["9.5", "10"]


def test_the_same_trials_give_the_same_importance():
    random = np.random.default_rng(0)
    points = [{"a": int(random.integers(3)), "b": str(random.integers(2))} for _ in range(30)]
    values = np.array([point["a"] + 0.1 * random.normal() for point in points])
    assert importances(points, values, ("a", "b")) == importances(points, values, ("a", "b"))
