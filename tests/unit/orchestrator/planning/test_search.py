"""Points that Optuna chooses: they follow from the results before them alone, and are better than random ones."""

from statistics import fmean

import pytest

from orchestrator.planning.search import Tried, chosen_points
from tune_spaces.schema import Data, Search, Space

TENTHS = tuple(n / 10 for n in range(10))
AXES = {
    "noise": TENTHS,
    "lambda_structure": TENTHS,
    "dropout": TENTHS,
    "pooling": ("mean", "max", "peak", "softmax"),
}


def space(seed=0, kind="optuna", points=40, axes=AXES, **values):
    search = Search(kind=kind, points=points, seed=seed, **values.pop("search", {}))
    return Space(workload="mlsad", data=Data(name="digits", side=16), axes=axes, search=search, **values)


def quality(point):
    """Highest, 0, at one point of the four thousand."""
    far = [point[key] - best for key, best in {"noise": 0.3, "lambda_structure": 0.7, "dropout": 0.2}.items()]
    return -sum(distance**2 for distance in far) - 0.1 * (point["pooling"] != "peak")


def tried(chosen_space, value=quality, known=()):
    """All points of a search, those `known` beforehand first."""
    results = list(known) or [Tried(point, value(point), 1000) for point in chosen_space.points()]
    while points := chosen_points(chosen_space, results):
        results += [Tried(point, value(point), 1000) for point in points]
    return results


def test_the_points_are_better_than_random_ones_at_the_same_budget():
    seeds = range(3)
    chosen = fmean(max(result.value for result in tried(space(seed))) for seed in seeds)
    drawn = fmean(max(map(quality, space(seed, "random").points())) for seed in range(30))
    assert chosen > drawn / 3, "quality ends at 0: the best of a search lies at most a third as far from there"


def test_the_first_points_are_those_that_a_random_search_begins_with():
    assert space().points() == space(kind="random").points()[:10]
    assert space(search={"random_start": 3}).points() == space(kind="random").points()[:3]


def test_a_seed_has_its_points():
    first, again, other = (tried(space(seed, points=14)) for seed in (0, 0, 1))
    assert first == again
    assert [result.point for result in first] != [result.point for result in other]


@pytest.mark.parametrize("last", [10, 12, 14, 17])
def test_a_search_that_died_anywhere_goes_on_with_the_points_it_would_have_had(last):
    undisturbed = tried(space(points=18, search={"random_start": 10}))
    assert tried(space(points=18, search={"random_start": 10}), known=undisturbed[:last]) == undisturbed


def test_a_round_does_not_know_its_results():
    """Slots may be many or few: what else of a round has ended by then changes nothing."""
    before = tried(space(points=10, search={"random_start": 9, "at_once": 4}))[:9]
    search = space(points=20, search={"random_start": 9, "at_once": 4})
    whole = chosen_points(search, before)
    begun = [*before, Tried(whole[0], 5.0, 1000)]
    assert len(whole) == 4
    assert chosen_points(search, begun) == whole[1:]


def test_no_point_is_tried_twice_and_a_small_grid_comes_to_its_end():
    axes = {"noise": (0.0, 0.1, 0.2), "dropout": (0.0, 0.1), "lambda_structure": (0.5,), "pooling": ("peak",)}
    results = tried(space(axes=axes))
    assert len(results) == 6
    assert len({str(result.point) for result in results}) == 6


def test_points_that_failed_or_were_stopped_are_results_too():
    results = [Tried(point, None if n % 2 else quality(point), 40) for n, point in enumerate(space().points())]
    assert len(chosen_points(space(), results)) == 4


def test_what_optuna_cannot_choose_is_refused_by_name_with_the_fix():
    axes = {"noise": (0.0, 0.1), "generator_lr": (1e-4, 1e-3)}
    with pytest.raises(ValueError, match=r"axes\.generator_lr: shared stages depend on it.*--set generator_lr=VALUE"):
        space(axes=axes)


@pytest.mark.parametrize("first", ["none", "general"])
def test_an_axis_that_decides_which_stages_there_are_is_refused(first):
    axes = {"hierarchy": (first, *({"none", "general"} - {first})), "lr": (1e-4, 1e-3)}
    with pytest.raises(ValueError, match=r"axes\.hierarchy: shared stages depend on it"):
        Space(workload="flow", data=Data(name="digits", side=16), axes=axes, select_by="likelihood",
              search=Search(kind="optuna", points=4), fixed={"score": "likelihood"})  # fmt: skip


def test_a_ledgers_lists_are_the_tuples_of_an_axis():
    axes = {"detector_milestones": ((0.5,), (0.5, 0.8), (0.8,)), "noise": TENTHS}
    search = space(axes=axes, points=20)
    results = tried(search, lambda point: point["noise"])
    read = [Tried({key: list(v) if isinstance(v, tuple) else v for key, v in r.point.items()}, r.value, 1000)
            for r in results[:13]]  # fmt: skip
    assert chosen_points(search, read) == [
        result.point for result in results[13 : 13 + len(chosen_points(search, read))]
    ]


def test_what_a_search_may_choose_is_checked_beforehand():
    points = [point for key in AXES for point in space().along(key)]
    assert len(points) == 34
    assert {point["pooling"] for point in points} == {"mean", "max", "peak", "softmax"}
    assert space(points=40).together == 4


def test_test_labels_choose_no_points():
    with pytest.raises(ValueError, match="by test labels"):
        space(select_by="oracle")


def test_a_random_start_that_leaves_nothing_to_choose_is_refused():
    with pytest.raises(ValueError, match="leaves nothing to choose of 5 points"):
        space(points=5, search={"random_start": 5})
