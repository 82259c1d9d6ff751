"""The user's own folders: splits, masks, one class alone, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.files import write_classes, write_image, write_mask
from workloads.data.datasets import load
from workloads.data.loaders.user_folder import read_folder
from workloads.data.protocols import one_class
from workloads.errors import UserError


def test_folder_without_splits_is_halved(tmp_path: Path) -> None:
    write_classes(tmp_path, count=7)
    found = load("folder", tmp_path, path=tmp_path, side=8)
    assert found.classes == ("cat", "dog")
    assert found.train.images.shape == (8, 3, 8, 8)
    assert found.test.images.shape == (6, 3, 8, 8)
    assert set(found.train.ids) | set(found.test.ids) == {f"{c}/{i:03d}.png" for c in ("cat", "dog") for i in range(7)}
    assert load("folder", tmp_path, path=tmp_path, side=8).train.ids == found.train.ids


def test_folder_with_splits(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good",))
    write_classes(tmp_path / "test", classes=("good", "scratch"), count=3)
    found = read_folder(tmp_path, side=8)
    assert found.classes == ("good", "scratch")
    assert (len(found.train), len(found.test)) == (6, 6)
    assert all(name.startswith("train/good/") for name in found.train.ids)


def test_one_unreadable_file_is_named_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classes(tmp_path)
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "cat" / "notes.txt").write_text("no image by its ending")
    found = read_folder(tmp_path, side=8)
    assert len(found.train) + len(found.test) == 12
    assert "left out 1 of 13" in caplog.text
    assert "cat/broken.jpg" in caplog.text


def test_many_unreadable_files_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    whole = (tmp_path / "dog" / "000.png").read_bytes()
    (tmp_path / "dog" / "000.png").write_bytes(whole[:-60])
    (tmp_path / "dog" / "001.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 12 .*dog/000\.png.*dog/001\.png"):
        read_folder(tmp_path, side=8)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.png"
    write_classes(root)
    write_image(secret)
    (root / "cat" / "link.png").symlink_to(secret)
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "000.png")
    found = read_folder(root, side=8)
    assert "cat/inside.png" in found.train.ids + found.test.ids
    assert "cat/link.png (links out of the data folder)" in caplog.text
    write_classes(tmp_path / "elsewhere", classes=("bird",))
    (root / "bird").symlink_to(tmp_path / "elsewhere" / "bird")
    with pytest.raises(UserError, match="links out of the data"):
        read_folder(root, side=8)


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "images")
    with pytest.raises(UserError, match="did you mean: images"):
        read_folder(tmp_path / "image", side=8)
    with pytest.raises(UserError, match="a side of 0"):
        read_folder(tmp_path / "images", side=0)
    with pytest.raises(UserError, match="needs a path"):
        load("folder", tmp_path)
    with pytest.raises(UserError, match="not for 'digits'"):
        load("digits", tmp_path, path=tmp_path)
    write_image(tmp_path / "images" / "lone" / "a.png")
    with pytest.raises(UserError, match="'lone' has 1 usable"):
        read_folder(tmp_path / "images", side=8)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a b", "c"), "class name 'a b'"),
        (("train/cat",), "no test/"),
        (("cat/small", "dog"), "has a folder 'small' in it"),
        ((".hidden",), "no class folders"),
    ],
)
def test_bad_class_folders_are_refused(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    write_classes(tmp_path, classes=classes, count=2)
    with pytest.raises(UserError, match=message):
        read_folder(tmp_path, side=8)


def test_empty_class_folder_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="'empty' has no images"):
        read_folder(tmp_path, side=8)


# --- one class alone


def test_normal_images_alone_are_enough(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classes(tmp_path, classes=("normal",))
    split = one_class(read_folder(tmp_path, side=8), side=8)
    assert split.targets.names == ("normal",)
    assert (len(split.train) + len(split.val), len(split.test)) == (3, 3)
    assert "'normal' is the folder's only class" in caplog.text


def test_normal_images_beside_others_are_a_class_like_any(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classes(tmp_path, classes=("normal", "broken"))
    assert one_class(read_folder(tmp_path, side=8), side=8).targets.names == ("broken", "normal")
    assert not caplog.text


# --- masks


def write_masked(root: Path) -> None:
    """Images 12x10; the left half of the scratched ones is marked: 5 of the 10 columns that the centre square keeps."""
    write_classes(root / "train", classes=("good",))
    write_classes(root / "test", classes=("good", "scratch"), count=3)
    left = np.broadcast_to(np.arange(12) < 6, (10, 12))
    for name in ("000_mask.png", "001.png", "002_mask.png"):
        write_mask(root / "ground_truth" / "scratch" / name, left)


def test_masks_lie_as_the_test_images_do(tmp_path: Path) -> None:
    write_masked(tmp_path)
    found = read_folder(tmp_path, side=8)
    assert found.masks is not None
    assert found.masks.shape == (6, 8, 8)
    for row, label in enumerate(found.test.labels):
        expected = np.broadcast_to(np.arange(8) < 4, (8, 8)) if found.classes[label] == "scratch" else np.zeros((8, 8))
        assert np.array_equal(found.masks[row], expected)
    (tmp_path / "test" / "good" / "000.png").write_bytes(b"no image")
    fewer = read_folder(tmp_path, side=8)
    assert fewer.masks is not None
    assert np.array_equal(fewer.masks, found.masks[1:])


def test_without_ground_truth_there_are_no_masks(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good",))
    write_classes(tmp_path / "test", classes=("good", "scratch"), count=3)
    assert read_folder(tmp_path, side=8).masks is None


def test_missing_and_wrong_masks_are_refused(tmp_path: Path) -> None:
    write_masked(tmp_path)
    folder = tmp_path / "ground_truth" / "scratch"
    (folder / "001.png").unlink()
    with pytest.raises(UserError, match=r"1 test images have no mask: test/scratch/001\.png"):
        read_folder(tmp_path, side=8)
    write_mask(folder / "001.png", np.ones((12, 10), bool))
    with pytest.raises(UserError, match="10x12 pixels, its image has 12x10") as caught:
        read_folder(tmp_path, side=8)
    assert caught.value.where == str(folder / "001.png")
    (folder / "001.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="mask that cannot be used"):
        read_folder(tmp_path, side=8)
    (folder / "001.png").unlink()
    write_mask(tmp_path.parent / "outside.png", np.ones((10, 12), bool))
    (folder / "001.png").symlink_to(tmp_path.parent / "outside.png")
    with pytest.raises(UserError, match="links out"):
        read_folder(tmp_path, side=8)


def test_an_anomaly_without_masks_is_refused_where_others_have_them(tmp_path: Path) -> None:
    write_masked(tmp_path)
    write_image(tmp_path / "test" / "dent" / "a.png")
    with pytest.raises(UserError, match=r"test/dent/a\.png"):
        read_folder(tmp_path, side=8)
