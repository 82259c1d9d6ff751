"""Auxiliary images beside a dataset: what is tested is left out, the same whichever of two datasets is normal."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.data.loading import load_splits
from tests.helpers.files import idx_bytes
from tune_spaces.schema import Auxiliary, Data
from workloads.data.duplicates import exact_hashes

PAIR = ("mnist", "fashion_mnist")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two datasets of 28 x 28 pixels, and an array of auxiliary images that holds some of each, learnt and tested."""
    rng, some = np.random.default_rng(0), []
    for name in PAIR:
        (tmp_path / name).mkdir()
        for split, count in (("train", 40), ("t10k", 20)):
            images = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
            labels = np.arange(count, dtype=np.uint8) % 10
            (tmp_path / name / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(images))
            (tmp_path / name / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
            some.append(images[:3])
    others = rng.integers(256, size=(60, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "auxiliary.npy", np.concatenate([others, *some])[:, None])
    return tmp_path


def data(folder: Path, normal: str, **values: str) -> Data:
    (other,) = set(PAIR) - {normal}
    auxiliary = (Auxiliary(name="arrays", path=str(folder / "auxiliary.npy")),)
    return Data(name=normal, protocol="in_out", side=28, out=(other,), auxiliary=auxiliary, **values)


@pytest.mark.filterwarnings("ignore")  # checksums are of the published files
def test_datasets_that_stand_against_each_other_share_their_auxiliary_images(folder: Path) -> None:
    first, second = (load_splits(data(folder, name), folder, False) for name in PAIR)
    for splits in (first, second):
        assert splits.auxiliary is not None
        learnt = exact_hashes(np.concatenate([splits.auxiliary.train.images, splits.auxiliary.val.images]))
        tested = exact_hashes(np.concatenate([splits.test.images, *(part.images for part in splits.out.values())]))
        assert splits.auxiliary.duplicates == 6
        assert len(learnt) == 66
        assert not np.isin(learnt, tested).any()
    assert first.auxiliary.train.ids == second.auxiliary.train.ids
    np.testing.assert_array_equal(first.auxiliary.train.images, second.auxiliary.train.images)


@pytest.mark.filterwarnings("ignore")
def test_the_authors_way_leaves_nothing_out_and_says_so(folder: Path) -> None:
    splits = load_splits(data(folder, "mnist", auxiliary_copies="keep"), folder, False)
    assert len(splits.auxiliary.train) + len(splits.auxiliary.val) == 72
    assert any("auxiliary_copies" in line for line in splits.remarks)
