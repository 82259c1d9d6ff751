"""The user's own folders: splits, masks, one class alone, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.files import left_out, write_classes, write_image, write_mask
from workloads.data.datasets import load
from workloads.data.in_out import in_out
from workloads.data.loaders.user_folder import read_folder
from workloads.data.protocols import one_class
from workloads.data.reading.account import FolderRules
from workloads.errors import UserError


def test_folder_without_splits_is_halved(tmp_path: Path) -> None:
    write_classes(tmp_path, count=7)
    actual = load("folder", tmp_path, path=tmp_path, side=8, fit="crop")
    assert actual.classes == ("cat", "dog")
    assert actual.train.images.shape == (8, 3, 8, 8)
    assert actual.test.images.shape == (6, 3, 8, 8)
    assert set(actual.train.ids) | set(actual.test.ids) == {
        f"{c}/{i:03d}.png" for c in ("cat", "dog") for i in range(7)
    }
    assert load("folder", tmp_path, path=tmp_path, side=8, fit="crop").train.ids == actual.train.ids
    tiles = load("folder", tmp_path, path=tmp_path, side=8)  # what nothing is said of: the images are 10 x 12
    assert tiles.train.ids == tuple(name for name in actual.train.ids for _ in range(4))
    assert set(tiles.test.ids) == set(actual.test.ids)


def test_folder_with_splits(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good",))
    write_classes(tmp_path / "test", classes=("good", "scratch"), count=3)
    actual = read_folder(tmp_path, side=8)
    assert actual.classes == ("good", "scratch")
    assert (len(actual.train), len(actual.test)) == (6, 6)
    assert all(name.startswith("train/good/") for name in actual.train.ids)


def test_one_unreadable_file_is_in_the_account_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_classes(tmp_path)
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "cat" / "notes.txt").write_text("no image by its ending")
    actual = read_folder(tmp_path, side=8)
    assert actual.account is not None
    assert actual.account.used == len(actual.train) + len(actual.test) == 12
    assert "left out 1 of 13" in caplog.text
    broken, named = "cat/broken.jpg (UnidentifiedImageError", left_out(actual)
    assert named.pop("no images by their ending") == ("cat/notes.txt",)
    assert named.pop("cannot be read")[0].startswith(broken)
    assert not named


def test_what_lies_beside_the_images_is_in_the_account(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good",))
    write_classes(tmp_path / "test", classes=("good", "scratch"), count=3)
    write_image(tmp_path / "test" / "stray.png")
    write_image(tmp_path / "old" / "a.png")
    write_image(tmp_path / "train" / "good" / ".thumbnails" / "a.png")
    (tmp_path / "train" / "good" / "a.heic").write_bytes(b"x")
    assert left_out(read_folder(tmp_path, side=8)) == {
        "hidden": ("train/good/.thumbnails/a.png",),
        "image formats that are not read": ("train/good/a.heic",),
        "beside the class folders": ("old/a.png", "test/stray.png"),
    }


@pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1"])
def test_a_class_that_loses_all_its_images_stops(tmp_path: Path, content: bytes | None) -> None:
    write_classes(tmp_path / "train", classes=("good",), count=50)
    write_classes(tmp_path / "test", classes=("good", "crack"), count=2)
    for file in (tmp_path / "test" / "crack").iterdir():
        if content is None:
            file.rename(file.with_suffix(".heic"))
        else:
            file.write_bytes(content)
    expected = "'crack' has no images in it\n  2 image formats that are not read" if content is None else "'test/crack'"
    with pytest.raises(UserError, match=expected):
        read_folder(tmp_path, side=8)


def test_folders_in_any_script_are_classes_by_their_names(tmp_path: Path) -> None:
    write_classes(tmp_path, classes=("合格", "cafe\u0301", "kratzer", "delle"))
    names = {"合格": "good", "caf\xe9": "stained", "kratzer": "bad", "delle": "bad"}
    actual = read_folder(tmp_path, side=8, rules=FolderRules(names=names))
    assert actual.classes == ("bad", "good", "stained")
    assert np.bincount(actual.train.labels).tolist() == [6, 3, 3]
    with pytest.raises(UserError, match=r"names = .'合格': 'a_name'"):
        read_folder(tmp_path, side=8, rules=FolderRules(ignore=("caf*",)))
    with pytest.raises(UserError, match=r"no class folder 'kratzr'[\s\S]*'kratzer'"):
        read_folder(tmp_path, side=8, rules=FolderRules(names=names | {"kratzr": "bad"}))


def test_what_is_to_be_ignored_is_no_class_and_no_image(tmp_path: Path) -> None:
    write_classes(tmp_path, classes=("cat", "dog/small", "dog", "old"))
    actual = read_folder(tmp_path, side=8, rules=FolderRules(ignore=("old", "small", "cat/00[012]*")))
    assert actual.classes == ("cat", "dog")
    assert np.bincount(actual.train.labels).tolist() == [2, 3]
    ignored = (*(f"cat/{i:03d}.png" for i in range(3)), "dog/small/000.png", "dog/small/001.png")
    assert left_out(actual)["left out by the key `ignore`"] == ignored


def test_held_out_images_of_the_folder_itself_are_the_validation_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", classes=("good", "fine"))
    write_classes(tmp_path / "test", classes=("good", "fine", "scratch"), count=3)
    write_classes(tmp_path / "val", classes=("good",), count=2)
    write_classes(tmp_path / "validation", classes=("good",), count=1)
    dataset = read_folder(tmp_path, side=8)
    assert left_out(dataset) == {}
    assert dataset.account is not None
    assert dataset.account.used == len(dataset.train) + len(dataset.test) + len(dataset.val or ()) == 24
    splits = one_class(dataset, side=8)
    named = {"val/good/000.png", "val/good/001.png", "validation/good/000.png"}
    assert len(splits.val) == 5
    assert all(name.startswith("train/fine/") for name in set(splits.val.ids) - named)
    assert np.bincount(splits.train.labels).tolist() == [4, 6]
    assert len(one_class(dataset, side=8, max_train_images=5, classes=("good",)).train) == 3
    whole = in_out(dataset, side=8)
    assert sorted(whole.val.ids) == ["val/good/000.png", "val/good/001.png", "validation/good/000.png"]
    assert len(whole.train) == 12
    write_classes(tmp_path / "validation", classes=("scratch",), count=1)
    with pytest.raises(UserError, match="held-out images of 'scratch'"):
        read_folder(tmp_path, side=8)


def test_everything_wrong_with_a_folder_is_said_at_once(tmp_path: Path) -> None:
    write_classes(tmp_path, classes=("a b", "cat/small", "dog"))
    with pytest.raises(UserError) as caught:
        read_folder(tmp_path, side=8)
    assert len(caught.value.problems) == 2


def test_many_unreadable_files_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    whole = (tmp_path / "dog" / "000.png").read_bytes()
    (tmp_path / "dog" / "000.png").write_bytes(whole[:-60])
    (tmp_path / "dog" / "001.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 12 .*dog/000\.png.*dog/001\.png"):
        read_folder(tmp_path, side=8)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.png"
    write_classes(root)
    write_image(secret)
    (root / "cat" / "link.png").symlink_to(secret)
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "000.png")
    actual = read_folder(root, side=8, rules=FolderRules(copies="keep"))
    assert "cat/inside.png" in actual.train.ids + actual.test.ids
    assert left_out(actual) == {"links that are not followed": ("cat/link.png",)}
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
    actual = read_folder(tmp_path, side=8)
    assert actual.masks is not None
    assert actual.masks.shape == (6, 8, 8)
    for row, label in enumerate(actual.test.labels):
        expected = np.broadcast_to(np.arange(8) < 4, (8, 8)) if actual.classes[label] == "scratch" else np.zeros((8, 8))
        assert np.array_equal(actual.masks[row], expected)
    (tmp_path / "test" / "good" / "000.png").write_bytes(b"no image")
    fewer = read_folder(tmp_path, side=8)
    assert fewer.masks is not None
    assert np.array_equal(fewer.masks, actual.masks[1:])


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
