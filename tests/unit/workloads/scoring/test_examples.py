"""Images at the ends of the scores: the right ones, whole, with maps where there are any."""

import re

import numpy as np
import pytest
import torch

from workloads.analyses import OF_EVERY_METHOD, analyse, analyses_of
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.learner import Fitted, GroupDetector
from workloads.method import FittedMethod, Method
from workloads.registry import method as named
from workloads.scoring.examples import Candidates, each_once, ends_of, examples
from workloads.training.fitted import fit_of


class Bright(FittedMethod):
    """The brightest pixel is the score."""

    name = "bright"
    Config = named("mlsad").Config

    def fit(self, images):
        return {"nothing": torch.zeros(1)}

    def score(self, fitted, images):
        return images.float().amax(dim=(1, 2, 3))


class Mapped(Bright):
    def maps(self, fitted, images):
        return images.float().mean(1)


def view_of(values, anomalous, windows=None, ids=None, out=None):
    """Grey test images, each of one value."""
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    names = ids or [f"image {number}" for number in range(len(values))]
    train = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    sets = {name: torch.full((2, 1, 4, 4), value, dtype=torch.uint8) for name, value in (out or {}).items()}
    out_ids = {f"out/{name}": [f"{name} {i}" for i in range(2)] for name in sets}
    marks, places = np.array(anomalous), {} if windows is None else {"test": np.array(windows, np.int32)}
    return TargetView(
        "t", train, train, images, ids={"test": names, **out_ids}, anomalous=marks, out=sets, windows=places
    )


def found(kind, view):
    method = kind(kind.Config())
    (unit,) = method.units(["t"])
    state = fit_of(method, torch.device("cpu"), unit, view.train)
    state.step(0, view.train)
    return analyse(method, "examples", view, Fitted(states={str(unit): state.state()}))


def test_the_ends_and_the_middle_of_both_kinds_are_shown():
    values, anomalous = [5, 1, 9, 200, 3, 100, 150], [False, False, False, True, False, True, True]
    result = found(Bright, view_of(values, anomalous))
    assert result.numbers == {
        "normal_lowest": 1, "normal_median": 5, "normal_highest": 9,
        "anomalous_lowest": 100, "anomalous_median": 150, "anomalous_highest": 200,
    }  # fmt: skip
    assert set(result.pictures) == {"images"}
    assert all(re.fullmatch(r"[\w./ -]+", name) for name in result.numbers), "else MLflow refuses them"


def test_an_image_that_stands_at_several_places_is_shown_once():
    candidates = Candidates(torch.zeros(2, 1, 4, 4), [slice(0, 1), slice(1, 2)], np.array([1, 2], np.float32))
    one = candidates.take(np.array([True, False]))
    shown = {f"normal_{place}": item for place, item in ends_of(candidates)}
    shown |= {f"anomalous_{place}": item for place, item in ends_of(one)}
    assert {name: number for name, (_, number) in each_once(shown).items()} == {
        "normal_lowest": 0, "normal_median_highest": 1, "anomalous_lowest_median_highest": 0,
    }  # fmt: skip
    assert each_once(shown)["anomalous_lowest_median_highest"][0] is one


def test_maps_stand_below_the_images():
    view = view_of([5, 1, 9, 200], [False, False, False, True])
    plain, mapped = found(Bright, view).pictures["images"], found(Mapped, view).pictures["images"]
    assert mapped.shape[0] > 1.5 * plain.shape[0]


def test_windows_are_put_together_and_an_image_scores_as_its_highest():
    places = [[0, 0, 4, 8], [0, 4, 4, 8], [0, 0, 4, 4]]
    result = found(Mapped, view_of([5, 60, 9], [False, False, False], places, ["wide", "wide", "small"]))
    assert result.numbers["normal_highest"] == 60
    assert result.numbers["normal_lowest"] == 9


def test_anomalies_are_of_the_out_sets_where_there_are_no_others():
    result = found(Bright, view_of([5, 1, 9], [False] * 3, out={"noise": 77}))
    assert result.numbers["anomalous_median"] == 77
    assert not [name for name in found(Bright, view_of([5], [False])).numbers if name.startswith("anomalous")]


def test_groups_have_no_image_to_show():
    class Groups(Method):
        name = "groups"
        Config = Bright.Config

        def learner(self, unit, view, stages, parallel): ...

        def scorer(self, unit, shape, stages, device):
            class Scorer(GroupDetector):
                def load_state(self, state): ...

                def score_groups(self, held_out, normal, anomalous): ...

            return Scorer()

    method = Groups(Groups.Config())
    with pytest.raises(UserError, match="groups of images"):
        examples(method, view_of([1], [False]), Fitted(states={str(method.units(["t"])[0]): {}}), 0)


def test_every_method_offers_it():
    assert {"examples", "maps"} < analyses_of(named("mlsad")).keys()
    assert set(analyses_of(named("patch_memory"))) == set(OF_EVERY_METHOD)
