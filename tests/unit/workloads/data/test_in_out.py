"""The in-versus-out protocol: a whole dataset is normal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workloads.data.datasets import load
from workloads.data.images import Dataset
from workloads.data.in_out import in_out
from workloads.data.protocols import one_class
from workloads.data.splits import Targets
from workloads.errors import UserError

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", NOWHERE)


def test_one_target_is_the_whole_dataset_and_all_its_test_images_are_normal(digits: Dataset) -> None:
    split = in_out(digits, side=8)
    assert split.targets.names == ("digits",)
    assert split.targets.members == {"digits": digits.classes}
    assert set(split.train.ids) | set(split.val.ids) == set(digits.train.ids)
    assert not set(split.train.ids) & set(split.val.ids)
    assert len(split.val) == round(0.1 * len(digits.train))
    assert split.test.ids == digits.test.ids
    for part in (split.train, split.val, split.test):
        assert split.targets.normal("digits", part.labels).all()
    assert len(split.test_images("digits")[0]) == len(digits.test)


def test_the_cap_is_of_the_whole_and_the_seed_decides(digits: Dataset) -> None:
    first, again, other = (in_out(digits, side=8, max_train_images=50, seed=seed) for seed in (0, 0, 1))
    assert (len(first.train), len(first.val)) == (45, 5)
    assert first.digest == again.digest != other.digest
    assert first.digest != replace(first, targets=replace(first.targets, members={"digits": digits.classes[:9]})).digest


def test_a_class_that_is_in_test_alone_is_an_anomaly(digits: Dataset) -> None:
    split = in_out(replace(digits, train=digits.train.take(digits.train.labels != 4)), side=8)
    assert split.targets.members["digits"] == tuple("012356789")
    assert np.array_equal(split.targets.normal("digits", split.test.labels), split.test.labels != 4)


def test_what_cannot_be_learnt_or_tested_is_refused(digits: Dataset) -> None:
    nothing = digits.train.take(np.arange(1))
    with pytest.raises(UserError, match="1 training image"):
        in_out(replace(digits, train=nothing), side=8)
    with pytest.raises(UserError, match="none of its 0 test images"):
        in_out(replace(digits, test=digits.test.take(np.arange(0))), side=8)
    with pytest.raises(UserError, match="val_fraction"):
        in_out(digits, side=8, val_fraction=1.0)


def test_a_class_is_its_own_only_member(digits: Dataset) -> None:
    split = one_class(digits, side=8, classes=["3", "8"])
    assert split.targets.members == {}
    assert np.array_equal(split.targets.normal("8", split.test.labels), split.test.labels == 8)
    odd = Targets(digits.classes, ("odd",), {"odd": ("3", "5")})
    assert odd.normal("odd", np.array([3, 8, 0])).tolist() == [True, False, False]
