"""One-class protocol: what must hold of every split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.data.datasets import load
from workloads.data.images import Dataset, LabelledImages
from workloads.data.protocols import one_class
from workloads.data.splits import Splits, Targets
from workloads.errors import UserError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", Path("unused"))


def made(train: tuple[int, ...], test: tuple[int, ...] = (2, 2)) -> Dataset:
    """Tiny images; `train` and `test` say how many of each class."""

    def part(split: str, counts: tuple[int, ...]) -> LabelledImages:
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        images = np.arange(len(labels) * 4).reshape(-1, 1, 2, 2).astype(np.uint8)
        return LabelledImages(images, labels, tuple(f"{split}/{i}" for i in range(len(labels))))

    return Dataset("made", ("a", "b"), part("train", train), part("test", test))


def test_parts_are_disjoint_and_complete(digits: Dataset) -> None:
    split = one_class(digits, side=8)
    train, val, test = set(split.train.ids), set(split.val.ids), set(split.test.ids)
    assert not train & val
    assert not (train | val) & test
    assert train | val == set(digits.train.ids)
    assert split.targets == Targets(digits.classes, digits.classes)
    assert split.test.ids == digits.test.ids
    for label in range(10):
        held_out = np.count_nonzero(split.val.labels == label)
        whole = np.count_nonzero(digits.train.labels == label)
        assert held_out == round(0.1 * whole)


def test_only_targets_are_learnt_but_all_classes_tested(digits: Dataset) -> None:
    split = one_class(digits, side=16, classes=["7", "3"])
    assert split.targets.names == ("3", "7")
    assert set(split.train.labels) == set(split.val.labels) == {3, 7}
    assert set(split.test.labels) == set(range(10))
    assert split.train.images.shape[1:] == split.test.images.shape[1:] == (1, 16, 16)


def test_a_class_is_split_alike_whatever_the_other_targets(digits: Dataset) -> None:
    every, lone = one_class(digits, side=8), one_class(digits, side=8, classes=["4"])
    assert lone.val.ids == every.val.take(every.val.labels == 4).ids
    assert lone.train.ids == every.train.take(every.train.labels == 4).ids


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(2, 20), min_size=2, max_size=4), st.integers(0, 10**6), st.integers(4, 12))
def test_a_target_learns_its_own_class_and_no_test_image(counts: list[int], seed: int, cap: int) -> None:
    """Every image carries its class, its part and its number in its pixels: labels and ids need not be trusted."""

    def part(split: int) -> LabelledImages:
        rows = [(label, split, number, 0) for label, count in enumerate(counts) for number in range(count)]
        images = np.array(rows, np.uint8).reshape(-1, 1, 2, 2)
        return LabelledImages(images, np.array([row[0] for row in rows]), tuple(map(str, range(len(rows)))))

    names = tuple("abcd"[: len(counts)])
    split = one_class(Dataset("made", names, part(0), part(1)), side=2, max_train_images=cap, seed=seed)
    learnt = [images.images.reshape(-1, 4) for images in (split.train, split.val)]
    for images, pixels in zip((split.train, split.val), learnt, strict=True):
        assert np.array_equal(pixels[:, 0], images.labels)
        assert (pixels[:, 1] == 0).all()
    both = np.concatenate(learnt)
    assert len(np.unique(both, axis=0)) == len(both)
    assert np.array_equal(split.test.images, part(1).images)
    assert set(split.test.labels) == set(range(len(counts)))


def test_cap_counts_train_and_val(digits: Dataset) -> None:
    split = one_class(digits, side=8, max_train_images=20)
    for label in range(10):
        assert np.count_nonzero(split.train.labels == label) == 18
        assert np.count_nonzero(split.val.labels == label) == 2


def test_seed_decides(digits: Dataset) -> None:
    first, again, other = (one_class(digits, side=8, seed=s) for s in (0, 0, 1))
    assert first.val.ids == again.val.ids
    assert first.val.ids != other.val.ids
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize(("n", "held_out"), [(2, 1), (3, 1), (4, 2), (5, 2), (30, 3), (100, 10)])
def test_small_classes_hold_something_out(n: int, held_out: int) -> None:
    split = one_class(made((n, n)), side=2)
    assert np.count_nonzero(split.val.labels == 0) == held_out
    assert np.count_nonzero(split.train.labels == 0) == n - held_out


def test_large_fraction_leaves_something_to_learn() -> None:
    split = one_class(made((10, 10)), side=2, val_fraction=0.99)
    assert np.count_nonzero(split.train.labels == 0) == 2


def test_digest_changes_with_every_part(digits: Dataset) -> None:
    split = one_class(digits, side=8, max_train_images=10)
    whole = split.digest
    assert len(whole) == 64
    for name in ("train", "val", "test"):
        part: LabelledImages = getattr(split, name)
        pixels, labels = part.images.copy(), part.labels.copy()
        pixels[-1, 0, 3, 3] ^= 1
        labels[0] += 1
        changed = (
            replace(part, images=pixels),
            replace(part, labels=labels),
            replace(part, ids=("new", *part.ids[1:])),
            part.take(np.arange(len(part))[::-1]),
        )
        digests = {replace(split, **{name: item}).digest for item in changed}
        assert len(digests) == 4
        assert whole not in digests
    assert replace(split, targets=replace(split.targets, names=split.targets.names[1:])).digest != whole


def test_digest_is_the_same_for_ever() -> None:
    """A stored result is found again by this value: a change of it makes all finished work be done anew."""
    dataset = made((2, 2))
    split = Splits(dataset.train, dataset.train, dataset.test, Targets(dataset.classes, ("a",)))
    assert split.digest == "958dd6ef27ba3a3cdc11ccf421f452cefa0139e620266a9fee3561cadb90f1b5"


def test_digest_of_an_empty_part(digits: Dataset) -> None:
    split = one_class(digits, side=8, classes=["0"])
    assert replace(split, val=split.val.take(np.arange(0))).digest != split.digest


def test_a_class_without_train_images_is_only_an_anomaly() -> None:
    assert one_class(made((6, 0)), side=2).targets.names == ("a",)
    with pytest.raises(UserError, match="'b' has 0 training"):
        one_class(made((6, 0)), side=2, classes=["b"])


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(UserError, match=r"'b' cannot be tested.*none of its own"):
        one_class(made((6, 6), (2, 0)), side=2, classes=["b"])
    with pytest.raises(UserError, match="none of another class"):
        one_class(made((6, 6), (2, 0)), side=2, classes=["a"])


def test_bad_arguments_are_refused(digits: Dataset) -> None:
    fashion = replace(digits, classes=("t-shirt", "trouser", *digits.classes[2:]))
    with pytest.raises(UserError, match="did you mean: trouser"):
        one_class(fashion, side=8, classes=["Trousers"])
    for classes in ([], "12"):
        with pytest.raises(UserError, match="list of class names"):
            one_class(digits, side=8, classes=classes)
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(UserError, match="val_fraction"):
            one_class(digits, side=8, val_fraction=fraction)
    with pytest.raises(UserError, match="max_train_images"):
        one_class(digits, side=8, max_train_images=1)


def masked(dataset: Dataset) -> Dataset:
    return replace(dataset, masks=np.ones((len(dataset.test), 2, 2), np.uint8), tested_on={"a": ("a", "b")})


def test_digest_names_masks_and_what_is_tested_where_there_are_any() -> None:
    plain = one_class(made((6, 6)), side=2)
    full = one_class(masked(made((6, 6))), side=2)
    assert full.masks is not None
    changed = full.masks.copy()
    changed[-1, 0, 0] = 0
    variants = (
        plain,
        full,
        replace(full, masks=None),
        replace(full, targets=replace(full.targets, tested_on=None)),
        replace(full, masks=changed),
        replace(full, targets=replace(full.targets, tested_on={"a": ("a",)})),
    )
    assert len({split.digest for split in variants}) == len(variants)


def test_a_target_without_tests_of_its_own_kind_is_refused() -> None:
    with pytest.raises(UserError, match="of 2 test images none of another class"):
        one_class(replace(made((6, 6)), tested_on={"a": ("a",)}), side=2)


def test_only_a_user_s_folder_may_have_one_class() -> None:
    lone = replace(made((6,), (2,)), classes=("a",))
    assert one_class(replace(lone, name="folder"), side=2).targets.names == ("a",)
    with pytest.raises(UserError, match="cannot be tested"):
        one_class(lone, side=2)
