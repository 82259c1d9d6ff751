"""ImageNet10 in the folders of Imagenette, and called by class names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.files import write_classes
from workloads.data.datasets import load
from workloads.data.loaders.imagenet10 import WNIDS
from workloads.errors import UserError

NAMES = {"names": tuple(WNIDS), "wnids": tuple(WNIDS.values())}


@pytest.mark.parametrize(
    ("folder", "test", "names"),
    [("imagenet10", "test", "names"), ("imagenette2", "val", "wnids"), ("imagenette2-160", "val", "wnids")],
)
def test_both_ways_of_calling_folders(
    tmp_path: Path, folder: str, test: str, names: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_classes(tmp_path / folder / "train", 2, NAMES[names])
    write_classes(tmp_path / folder / test, 1, (*NAMES[names], "other"))
    actual = load("imagenet10", tmp_path, side=8)
    assert actual.classes == NAMES["names"]
    assert actual.train.images.shape == (20, 3, 8, 8)
    assert actual.train.labels.tolist() == np.arange(10).repeat(2).tolist()
    assert actual.test.labels.tolist() == list(range(10))
    assert actual.test.ids[1] == f"{test}/{NAMES[names][1]}/000.png"
    assert "9469 and 3925 as published" in caplog.text


def test_images_are_decoded_as_any_folder_s(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "imagenet10"
    write_classes(root / "train", 2, NAMES["names"])
    write_classes(root / "val", 1, NAMES["names"])
    Image.fromarray(np.full((9, 7), 25700, np.uint16)).save(root / "val" / "tench" / "000.png")
    (root / "train" / "church" / "broken.jpg").write_bytes(b"no image")
    actual = load("imagenet10", tmp_path, side=8)
    assert (actual.test.images[0] == 100).all()
    assert len(actual.train) == 20
    assert "left out 1 of 31" in caplog.text
    shutil.rmtree(root / "train" / "church")
    (root / "train" / "church").mkdir()
    with pytest.raises(UserError, match="'church' has no images"):
        load("imagenet10", tmp_path, side=8)


def test_missing_classes_are_named(tmp_path: Path) -> None:
    write_classes(tmp_path / "imagenette2" / "train", 2, NAMES["wnids"])
    write_classes(tmp_path / "imagenette2" / "val", 1, NAMES["wnids"][1:])
    with pytest.raises(UserError, match=r"imagenette2 lacks val/tench \(or n01440764\)") as caught:
        load("imagenet10", tmp_path, side=8)
    assert str(tmp_path / "imagenet10") in str(caught.value)
