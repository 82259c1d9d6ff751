"""MVTec AD's textures: labels, masks, and each texture tested on its own images."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.files import write_classes, write_mask
from workloads.data.catalogue import entry
from workloads.data.datasets import load
from workloads.data.images import Dataset
from workloads.data.protocols import one_class
from workloads.errors import UserError

TEXTURES = entry("mvtec_textures").classes
DEFECTS = {"carpet": ("color", "metal_contamination"), "tile": ("crack",)}
TOP = np.broadcast_to(np.arange(16)[:, None] < 8, (16, 16))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "mvtec"
    for texture in TEXTURES:
        defects = DEFECTS.get(texture, ("hole",))
        write_classes(folder / texture / "train", 4, ("good",))
        write_classes(folder / texture / "test", 2, ("good", *defects))
        for defect in defects:
            for image in sorted((folder / texture / "test" / defect).iterdir()):
                mask = TOP[:10, :12]  # the images are 12x10
                write_mask(folder / texture / "ground_truth" / defect / f"{image.stem}_mask.png", mask)
    return folder


@pytest.fixture
def mvtec(root: Path) -> Dataset:
    return load("mvtec_textures", root.parent, side=10)


def test_textures_come_first_and_defects_are_test_only(mvtec: Dataset) -> None:
    assert mvtec.classes[:5] == TEXTURES
    assert set(mvtec.classes[5:]) >= {"carpet-color", "carpet-metal_contamination", "tile-crack", "wood-hole"}
    assert sorted(set(mvtec.train.labels)) == [0, 1, 2, 3, 4]
    assert mvtec.train.images.shape == (20, 3, 10, 10)
    assert mvtec.tested_on is not None
    assert mvtec.tested_on["carpet"] == ("carpet", "carpet-color", "carpet-metal_contamination")
    row = mvtec.test.ids.index("carpet/test/metal_contamination/001.png")
    assert mvtec.classes[mvtec.test.labels[row]] == "carpet-metal_contamination"


def test_masks_go_with_their_images(mvtec: Dataset) -> None:
    assert mvtec.masks is not None
    assert mvtec.masks.shape == (len(mvtec.test), 10, 10)
    for mask, name in zip(mvtec.masks, mvtec.test.ids, strict=True):
        good = "/good/" in name
        assert mask.any() != good
        if not good:
            assert np.array_equal(mask, TOP[:10, :10])


def test_the_other_place_is_looked_in(root: Path) -> None:
    root.rename(root.parent / "mvtec_anomaly_detection")
    assert len(load("mvtec_textures", root.parent, side=4).train) == 20


def test_each_texture_is_tested_on_its_own_images(mvtec: Dataset) -> None:
    split = one_class(mvtec, side=5)
    assert split.targets.names == TEXTURES
    assert split.masks is not None
    assert split.masks.shape == (len(split.test), 5, 5)
    for target in split.targets.names:
        rows = split.targets.tested(target, split.test.labels)
        assert {split.test.ids[i].split("/")[0] for i in np.flatnonzero(rows)} == {target}
        assert np.count_nonzero(rows) == 2 + 2 * len(DEFECTS.get(target, ("hole",)))


def test_images_that_no_target_is_tested_on_are_left_out(mvtec: Dataset) -> None:
    split = one_class(mvtec, side=10, classes=["tile"])
    assert {name.split("/")[0] for name in split.test.ids} == {"tile"}
    assert split.targets.tested_on == {"tile": ("tile", "tile-crack")}
    assert split.masks is not None
    assert [mask.any() for mask in split.masks] == ["/crack/" in name for name in split.test.ids]


def test_all_fifteen_categories_are_read_from_the_same_folder(root: Path) -> None:
    categories = entry("mvtec").classes
    assert len(categories) == 15
    assert set(TEXTURES) < set(categories)
    for category in set(categories) - set(TEXTURES):
        write_classes(root / category / "train", 3, ("good",))
        write_classes(root / category / "test", 2, ("good", "broken"))
        for image in sorted((root / category / "test" / "broken").iterdir()):
            write_mask(root / category / "ground_truth" / "broken" / f"{image.stem}_mask.png", TOP[:10, :12])
    dataset = load("mvtec", root.parent, side=10)
    assert dataset.classes[:15] == categories
    split = one_class(dataset, side=10)
    for target in categories:
        tested = split.targets.tested(target, split.test.labels)
        assert {split.test.ids[row].split("/")[0] for row in np.flatnonzero(tested)} == {target}
        assert split.masks is not None
        assert [mask.any() for mask in split.masks[tested]] == [
            "/good/" not in split.test.ids[row] for row in np.flatnonzero(tested)
        ]
    shutil.rmtree(root / "zipper")
    with pytest.raises(UserError, match="lacks zipper/train/good"):
        load("mvtec", root.parent, side=4)


def test_a_missing_mask_is_named(root: Path) -> None:
    (root / "tile" / "ground_truth" / "crack" / "001_mask.png").unlink()
    with pytest.raises(UserError, match=r"tile/test/crack/001\.png"):
        load("mvtec_textures", root.parent, side=4)


def test_missing_pieces_are_named(root: Path) -> None:
    shutil.rmtree(root / "wood")
    shutil.rmtree(root / "grid" / "ground_truth")
    with pytest.raises(UserError, match="lacks grid/ground_truth, wood/train/good, wood/test/good") as caught:
        load("mvtec_textures", root.parent, side=4)
    assert "mvtec-ad" in str(caught.value)
    assert str(root) in str(caught.value)


def test_one_texture_alone_is_a_folder_like_any(root: Path) -> None:
    carpet = load("folder", root.parent, path=root / "carpet", side=8)
    assert carpet.classes == ("color", "good", "metal_contamination")
    assert carpet.masks is not None
    assert one_class(carpet, side=8).targets.names == ("good",)
