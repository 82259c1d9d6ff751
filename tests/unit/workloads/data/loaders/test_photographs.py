"""Photographs as they come: long, deep, with masks of other programs. Nothing of them is lost without a word."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orchestrator.data.loading import load_splits
from orchestrator.data.shared import SplitsInMemory
from tests.helpers.files import write_mask
from tune_spaces.schema import Data
from workloads.data.images import Dataset
from workloads.data.loaders.user_folder import read_folder
from workloads.data.reading import amount
from workloads.data.reading.amount import mean_windows
from workloads.data.splits import Splits
from workloads.data.windows import Form
from workloads.errors import UserError
from workloads.scoring.baselines import baseline_rows
from workloads.scoring.metrics import per_class_auroc

NOWHERE = Path("nowhere")


def waves(rng: np.random.Generator, width: int = 24, height: int = 24) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    sines = np.sin(rng.uniform(0.5, 1.5) * x / 4 + rng.uniform(0, 6)) * np.cos(rng.uniform(0.5, 1.5) * y / 2)
    return (127 + 60 * sines + rng.integers(0, 8, sines.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def long_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of 120 x 24 pixels, good ones and such with a spot at their beginning."""
    root, rng = tmp_path_factory.mktemp("long"), np.random.default_rng(0)
    for split, name, count in (("train", "good", 30), ("test", "good", 15), ("test", "spot", 15)):
        (root / split / name).mkdir(parents=True)
        for number in range(count):
            image, mask = waves(rng, width=120), np.zeros((24, 120), bool)
            if name == "spot":
                image[4:20, 4:20], mask[4:20, 4:20] = 255, True
                write_mask(root / "ground_truth" / name / f"{number:03d}_mask.png", mask)
            Image.fromarray(image).save(root / split / name / f"{number:03d}.png")
    return root


def splits_of(root: Path, side: int = 24, **values: object) -> Splits:
    data = Data(name="folder", path=str(root), side=side, classes=("good",), **values)
    return load_splits(data, NOWHERE)


def area(splits: Splits) -> float:
    table = baseline_rows("5-NN", SplitsInMemory(splits).view("good", torch.device("cpu")))
    assert len(table) == 30, "a row an image"
    value = per_class_auroc(table)["good"]
    assert value is not None
    return value


def test_a_defect_at_the_end_of_a_long_part_is_noticed(long_parts: Path) -> None:
    tiles = splits_of(long_parts)
    assert len(tiles.test) == 30 * 5
    assert area(tiles) > 0.99
    assert area(splits_of(long_parts, fit="squeeze")) > 0.99
    assert area(splits_of(long_parts, fit="crop")) < 0.7, "the middle alone"


@pytest.mark.parametrize("fit", ["crop", "squeeze", "pad", "tiles"])
def test_masks_lie_as_their_images_do_in_every_fit(long_parts: Path, fit: str) -> None:
    splits = splits_of(long_parts, fit=fit)
    assert splits.masks is not None
    assert splits.masks.shape == (len(splits.test), 24, 24)
    bright = splits.test.images[:, 0] >= 250
    spots = splits.targets.classes.index("spot")
    assert (splits.masks.any((1, 2)) <= (splits.test.labels == spots)).all()
    if fit == "crop":
        assert not splits.masks.any()
        assert any("15 masks mark nothing any more" in remark for remark in splits.remarks)
    else:
        assert (bright == splits.masks.astype(bool)).mean() > 0.97
        assert splits.masks.sum() >= 15 * 256 * (1 if fit == "tiles" else 0.03)


def deep_folder(root: Path, largest: int, test_largest: int | None = None) -> Path:
    """16-bit images whose values reach `largest`, those of the test split `test_largest`."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("good", "bad")[: 1 if split == "train" else 2]:
            (root / split / name).mkdir(parents=True)
            for number in range(4):
                top = largest if split == "train" else (test_largest or largest)
                values = np.rint(waves(rng) / 255 * top)
                values[0, 0] = top
                Image.fromarray(values.astype(np.uint16)).save(root / split / name / f"{number}.png")
    return root


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_cameras_of_any_depth_keep_their_grey_levels(tmp_path: Path, bits: int) -> None:
    read = read_folder(deep_folder(tmp_path, 2**bits - 1), side=24)
    assert read.white_level == 2**bits - 1
    assert len(np.unique(read.train.images)) > 100
    assert read.train.images.max() == 255
    assert not read.remarks


def test_values_above_the_white_level_are_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read = read_folder(deep_folder(tmp_path, 1023, 4095), side=24)
    assert read.white_level == 1023
    (remark,) = read.remarks
    assert remark.startswith("8 images hold values above the white level of 1023")
    assert "test/good/3.png (" in remark
    assert remark in caplog.text
    stated = read_folder(tmp_path, side=24, white_level=4095)
    assert (stated.white_level, stated.remarks) == (4095, ())
    splits = splits_of(tmp_path, white_level=4095)
    assert splits.white_level == 4095
    assert "images of more than 8 bits are white from 4095 on" in splits.remarks


def masked_folder(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, name in (("train", "good"), ("test", "good"), ("test", "spot")):
        (root / split / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(waves(rng)).save(root / split / name / f"{number}.png")
    return root


def marked_pixels(read: Dataset) -> list[int]:
    assert read.masks is not None
    return read.masks.sum((1, 2)).tolist()


def test_masks_of_loco_and_of_any_ending_are_read(tmp_path: Path) -> None:
    root, masks = masked_folder(tmp_path), tmp_path / "ground_truth/spot"
    squares = np.zeros((2, 24, 24), bool)
    squares[0, :4, :4], squares[1, 10:14, 10:14] = True, True
    for number in range(2):
        write_mask(masks / "0" / f"00{number}.png", squares[number])
    write_mask(masks / "1.bmp", squares[0])
    write_mask(masks / "2_mask.tif", squares[1])
    write_mask(masks / "other.png", squares[1])
    read = read_folder(root, side=24)
    assert marked_pixels(read) == [0, 0, 0, 32, 16, 16]
    assert any("ground_truth/spot/other.png" in remark for remark in read.remarks)
    write_mask(masks / "1.png", squares[0])
    with pytest.raises(UserError, match=r"two masks of one image: 1\.bmp, 1\.png"):
        read_folder(root, side=24)


def test_a_mask_that_marks_nothing_is_named(tmp_path: Path) -> None:
    root = masked_folder(tmp_path)
    for number in range(3):
        mask = np.zeros((24, 24), bool)
        mask[:5, :5] = number > 0
        write_mask(root / f"ground_truth/spot/{number}_mask.png", mask)
    read = read_folder(root, side=24)
    (remark,) = read.remarks
    assert remark.startswith("1 anomalous test images have masks that mark nothing")
    assert "test/spot/0.png" in remark


def test_what_would_not_fit_into_memory_is_refused_before_it_is_read(
    long_parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 2 * 60 * 5 * 3 * 24 * 24
    for free, fits in ((needed + 1, True), (needed - 1, False), (None, True)):
        monkeypatch.setattr(amount, "free_memory", lambda free=free: free)
        if fits:
            assert len(read_folder(long_parts, side=24, fit="tiles").train) == 150
        else:
            with pytest.raises(UserError, match=r"60 images of about 5 windows each need"):
                read_folder(long_parts, side=24, fit="tiles")
            assert len(read_folder(long_parts, side=24, fit="squeeze").train) == 30


def test_the_windows_of_a_large_folder_are_told_from_a_few_headers(long_parts: Path) -> None:
    files = sorted((long_parts / "train/good").iterdir()) * 100
    assert mean_windows(files, Form(24, 24, "tiles")) == 5
    assert mean_windows([*files, long_parts / "nothing.png"], Form(12, 12, "tiles")) == 20
    assert mean_windows([], Form(12, 12, "tiles")) == 1


def test_free_memory_is_that_of_the_control_group_where_it_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "/proc/meminfo": "MemTotal:  900 kB\nMemAvailable:   800 kB\n",
        "/sys/fs/cgroup/memory.max": "1000\n",
        "/sys/fs/cgroup/memory.current": "900\n",
        "/sys/fs/cgroup/memory.stat": "anon 500\nfile 300\n",
    }
    monkeypatch.setattr(amount, "_lines", lambda file: files.get(str(file), "").splitlines())
    assert amount.free_memory() == 400  # cached files are let go
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert amount.free_memory() == 800 * 1024
    files.clear()
    assert amount.free_memory() is None
