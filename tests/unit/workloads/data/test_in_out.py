"""The in-versus-out protocol from the split to the workers and the score table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from upath import UPath

from orchestrator.data.split_store import Prepared, Resident, collect, prepare, read_images
from orchestrator.execution.work.baseline import scores_of
from orchestrator.results.evaluation import block
from tune_spaces.schema import Auxiliary, Data
from workloads.data.datasets import load
from workloads.data.images import NO_CLASS, Dataset, LabelledImages
from workloads.data.in_out import in_out
from workloads.data.protocols import Split, digest, normal_for, one_class
from workloads.errors import UserError
from workloads.units import GENERAL

NOWHERE = Path("nowhere")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", NOWHERE)


@pytest.fixture(scope="module")
def split() -> Split:
    general = (Auxiliary(name="photo_tiles", max_images=50),)
    data = Data(name="digits", protocol="in_out", side=8, max_train_images=100, out=("noise",), auxiliary=general)
    return read_images(data, NOWHERE, download=False)


def stored(split: Split, folder: Path) -> tuple[Prepared, list]:
    prepared = prepare(split, UPath(folder))
    files = sorted(Path(prepared.path).glob("*shards/*.parquet"))
    tables = map(pq.read_table, files)
    return prepared, [part for table in tables for part in (table.slice(7), table.slice(0, 7))][::-1]


def test_one_target_is_the_whole_dataset_and_all_its_test_images_are_normal(digits: Dataset) -> None:
    split = in_out(digits, side=8)
    assert split.targets == ("digits",)
    assert split.members == {"digits": digits.classes}
    assert set(split.train.ids) | set(split.val.ids) == set(digits.train.ids)
    assert not set(split.train.ids) & set(split.val.ids)
    assert len(split.val) == round(0.1 * len(digits.train))
    assert split.test.ids == digits.test.ids
    for part in (split.train, split.val, split.test):
        assert split.own(part, "digits").all()
    assert len(split.tested("digits")) == len(digits.test)


def test_the_cap_is_of_the_whole_and_the_seed_decides(digits: Dataset) -> None:
    first, again, other = (in_out(digits, side=8, max_train_images=50, seed=seed) for seed in (0, 0, 1))
    assert (len(first.train), len(first.val)) == (45, 5)
    assert digest(first) == digest(again) != digest(other)
    assert digest(first) != digest(replace(first, members={"digits": digits.classes[:9]}))


def test_a_class_that_is_in_test_alone_is_an_anomaly(digits: Dataset) -> None:
    split = in_out(replace(digits, train=digits.train.take(digits.train.labels != 4)), side=8)
    assert split.members["digits"] == tuple("012356789")
    assert np.array_equal(split.own(split.test, "digits"), split.test.labels != 4)


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
    assert split.members == {}
    assert np.array_equal(split.own(split.test, "8"), split.test.labels == 8)
    assert normal_for(np.array([3, 8, 0]), digits.classes, {"odd": ("3", "5")}, "odd").tolist() == [True, False, False]


# --- shards, workers, scores


def test_workers_get_images_their_classes_and_the_general_set(split: Split, tmp_path: Path) -> None:
    prepared, tables = stored(split, tmp_path)
    assert split.auxiliary is not None
    assert prepared.members == {"digits": list("0123456789")}
    assert (prepared.train_images, prepared.general_images) == (90, 40)
    assert prepared == Prepared.read(UPath(prepared.path))
    found = collect(tables, prepared, ["digits"], CPU)
    assert list(found.train) == ["digits"]
    assert found.auxiliary is None, "only who asks for the general images holds them"
    assert torch.equal(found.train["digits"], torch.from_numpy(split.train.images))
    assert found.labels["digits"].tolist() == split.train.labels.tolist()
    assert found.val_labels["digits"] == [split.classes[label] for label in split.val.labels]
    with_general = collect(tables, prepared, ["digits"], CPU, auxiliary=True)
    assert with_general.auxiliary is not None
    for ours, theirs in zip(with_general.auxiliary, (split.auxiliary.train, split.auxiliary.val), strict=True):
        assert torch.equal(ours, torch.from_numpy(theirs.images))
    assert torch.equal(with_general.train["digits"], found.train["digits"])


def test_a_stage_that_learns_from_the_general_set_needs_no_other_target(split: Split, tmp_path: Path) -> None:
    prepared, tables = stored(split, tmp_path)
    assert split.auxiliary is not None
    found = collect(tables, prepared, [GENERAL], CPU)
    assert torch.equal(found.train[GENERAL], torch.from_numpy(split.auxiliary.train.images))
    assert torch.equal(found.val[GENERAL], torch.from_numpy(split.auxiliary.val.images))
    assert tuple(found.val_ids[GENERAL]) == split.auxiliary.val.ids
    assert set(found.labels[GENERAL].tolist()) == {NO_CLASS}
    assert torch.equal(found.test, torch.from_numpy(split.test.images))


def test_general_images_that_are_not_there_end_the_worker(split: Split, tmp_path: Path) -> None:
    prepared, tables = stored(split, tmp_path)
    with pytest.raises(ValueError, match="50 general images were not in the stream"):
        collect([t for t in tables if "general" not in t["split"][0].as_py()], prepared, [GENERAL], CPU)
    without, tables = stored(replace(split, auxiliary=None), tmp_path)
    with pytest.raises(ValueError, match="the data has none"):
        collect(tables, without, ["digits"], CPU, auxiliary=True)


def test_stages_are_made_of_what_they_learn_from(split: Split, tmp_path: Path) -> None:
    """Pixels for every target, the classes where there are several, the general images for the general stage alone."""
    assert split.auxiliary is not None
    labels = split.train.labels.copy()
    labels[:2] = labels[:2][::-1] if labels[0] != labels[1] else (labels[:2] + 1) % 10
    pixels = split.auxiliary.train.images.copy()
    pixels[0, 0, 0, 0] ^= 1
    variants = {
        "plain": split,
        "labels": replace(split, train=replace(split.train, labels=labels)),
        "general": replace(
            split, auxiliary=replace(split.auxiliary, train=replace(split.auxiliary.train, images=pixels))
        ),
        "none": replace(split, auxiliary=None),
    }
    found = {name: prepare(variant, UPath(tmp_path / name)).target_digests for name, variant in variants.items()}
    assert set(found["plain"]) == {"digits", GENERAL}
    assert set(found["none"]) == {"digits"}
    assert len({variant["digits"] for variant in found.values()}) == 2
    assert found["labels"]["digits"] != found["plain"]["digits"]
    assert found["labels"][GENERAL] == found["plain"][GENERAL] != found["general"][GENERAL]
    assert len({digest(variant) for variant in variants.values()}) == 4


def test_a_one_class_target_s_stages_are_found_as_before(digits: Dataset, tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(-1, 1, 2, 2)
    part = LabelledImages(images, np.array([0, 1, 0, 1, 0, 1]), tuple("abcdef"))
    prepared = prepare(Split(part, part, part, ("x", "y"), ("y",)), UPath(tmp_path))
    assert prepared.target_digests == {"y": "2c3d3e6048ade0ac"}
    assert prepared.members == {"y": ["y"]}


def resident(split: Split, tmp_path: Path) -> tuple[Prepared, Resident]:
    prepared, tables = stored(split, tmp_path)
    return prepared, collect(tables, prepared, split.targets, CPU)


def test_score_rows_call_no_test_image_of_the_dataset_anomalous(split: Split, tmp_path: Path) -> None:
    prepared, images = resident(split, tmp_path)
    test, val, out = (
        block("digits", "level_1", name, np.zeros(count), images, prepared)
        for name, count in (("test", len(split.test)), ("val", len(split.val)), ("out/noise", len(split.out["noise"])))
    )
    assert not any(test["anomalous"].to_pylist())
    assert test["label"].to_pylist() == [split.classes[label] for label in split.test.labels]
    assert val["label"].to_pylist() == [split.classes[label] for label in split.val.labels]
    assert set(val["target"].to_pylist()) == {"digits"}
    assert all(out["anomalous"].to_pylist())


def test_one_class_rows_are_as_before(digits: Dataset, tmp_path: Path) -> None:
    split = one_class(digits, side=8, classes=["3"], max_train_images=20)
    prepared, images = resident(split, tmp_path)
    table = block("3", "level_1", "test", np.zeros(len(split.test)), images, prepared)
    assert table["anomalous"].to_pylist() == (split.test.labels != 3).tolist()
    assert images.labels["3"].tolist() == [0] * 18
    fitted = scores_of("5-NN", split, "3")
    assert fitted["anomalous"].to_pylist() == (split.test.labels != 3).tolist()
