"""Copies among a user's images are found, counted and left out; photographs of one surface are no copies."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from workloads.data import copies
from workloads.data.images import Dataset, LabelledImages
from workloads.data.in_out import in_out
from workloads.data.loaders.user_folder import read_folder
from workloads.data.protocols import one_class
from workloads.data.reading.account import FolderRules
from workloads.errors import UserError

SIZE = 96
KEEP = FolderRules(copies="keep")


def photographs(count: int, seed: int, kind: str = "texture") -> list[Image.Image]:
    """Of a surface: random spots, or the same waves at another phase; each lit from another side, and noisy."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    images = []
    for _ in range(count):
        if kind == "texture":
            pattern = gaussian_filter(random.normal(size=(SIZE, SIZE)), 3, mode="wrap") * 400
        else:
            pattern = 60 * np.sin(40 * x + random.uniform(0, 6)) + 20 * np.sin(11 * y + random.uniform(0, 6))
        angle = random.uniform(0, 6)
        lit = (120 + pattern) * (1 + 0.1 * (np.cos(angle) * x + np.sin(angle) * y))
        images.append(as_image(lit + random.normal(0, 4, lit.shape)))
    return images


def as_image(values: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).convert("RGB")


def saved_again(image: Image.Image) -> Image.Image:
    """Smaller, a little darker, and as JPEG."""
    data = io.BytesIO()
    image.resize((SIZE * 3 // 4, SIZE * 3 // 4)).point(lambda v: int(0.9 * v)).save(data, "JPEG", quality=85)
    return Image.open(data)


def write(folder: Path, images: list[Image.Image], first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save(folder / f"{first + number:03d}.png")


def write_all(root: Path, kind: str = "texture") -> list[Image.Image]:
    """20 images to learn from, which are returned, and 10 good and 10 bad ones to test."""
    learnt, good, bad = photographs(20, 0, kind), photographs(10, 1, kind), photographs(10, 2, kind)
    write(root / "train" / "good", learnt)
    write(root / "test" / "good", good)
    write(root / "test" / "bad", bad)
    return learnt


def left_out(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    assert dataset.account is not None
    assert dataset.account.used == len(set(dataset.train.ids) | set(dataset.test.ids))
    return {" ".join(item.reason.split()[2:5]): item.names for item in dataset.account.left_out}


@pytest.mark.parametrize("kind", ["texture", "waves"])
@pytest.mark.parametrize(("fit", "side"), [("squeeze", 32), ("tiles", 64), ("tiles", 32)])
def test_photographs_of_one_surface_are_no_copies(tmp_path: Path, kind: str, fit: str, side: int) -> None:
    write_all(tmp_path, kind)
    assert left_out(read_folder(tmp_path, side=side, fit=fit)) == {}


@pytest.mark.parametrize(("fit", "side"), [("squeeze", 32), ("tiles", 64), ("tiles", 32)])
def test_copies_of_images_that_are_learnt_from_are_not_tested(tmp_path: Path, fit: str, side: int) -> None:
    learnt = write_all(tmp_path)
    write(tmp_path / "test" / "good", learnt[:2], first=100)
    write(tmp_path / "test" / "bad", [saved_again(image) for image in learnt[2:4]], first=100)
    dataset = read_folder(tmp_path, side=side, fit=fit)
    assert left_out(dataset) == {
        "with the pixels": ("test/good/100.png (as train/good/000.png)", "test/good/101.png (as train/good/001.png)"),
        "that are near": ("test/bad/100.png (as train/good/002.png)", "test/bad/101.png (as train/good/003.png)"),
    }
    assert dataset.account is not None
    assert dataset.account.folders["test/good"] == (10, 2)
    kept = read_folder(tmp_path, side=side, fit=fit, rules=KEEP)
    assert len(set(kept.test.ids)) == 24
    assert "4 test images are copies and were kept" in kept.remarks[0]


def test_good_images_in_the_bad_folder_are_not_tested(tmp_path: Path) -> None:
    write_all(tmp_path)
    good = photographs(10, 1)
    write(tmp_path / "test" / "bad", [good[3], saved_again(good[5])], first=100)
    assert left_out(read_folder(tmp_path, side=64)) == {
        "that are copies,": ("test/bad/100.png (as test/good/003.png)", "test/bad/101.png (as test/good/005.png)")
    }


def test_masks_stay_with_their_images(tmp_path: Path) -> None:
    learnt = write_all(tmp_path)
    write(tmp_path / "test" / "bad", learnt[:1], first=5)
    for number in range(10):
        row = np.broadcast_to(np.arange(SIZE)[:, None] == number, (SIZE, SIZE))
        write(tmp_path / "ground_truth" / "bad", [as_image(row * 255.0)], first=number)
    dataset = read_folder(tmp_path, side=SIZE)
    assert dataset.masks is not None
    for name, mask in zip(dataset.test.ids, dataset.masks, strict=True):
        rows = np.flatnonzero(mask.any(axis=1)).tolist()
        assert rows == ([int(name[-7:-4])] if "/bad/" in name else [])


def test_a_class_of_copies_alone_is_refused(tmp_path: Path) -> None:
    learnt = write_all(tmp_path)
    write(tmp_path / "test" / "crack", learnt[:3])
    with pytest.raises(UserError, match=r"every test image of the class 'crack' is a copy: test/crack/000\.png"):
        read_folder(tmp_path, side=64)


def test_of_small_images_exact_copies_alone_are_found(tmp_path: Path) -> None:
    learnt = write_all(tmp_path)
    write(tmp_path / "test" / "bad", [learnt[0], saved_again(learnt[1])], first=100)
    assert left_out(read_folder(tmp_path, side=16, fit="squeeze")) == {
        "with the pixels": ("test/bad/100.png (as train/good/000.png)",)
    }


def test_blank_images_are_no_copies_of_each_other(tmp_path: Path) -> None:
    write_all(tmp_path)
    for folder in ("train/good", "test/good", "test/bad"):
        write(tmp_path / folder, [as_image(np.full((SIZE, SIZE), 255.0))] * 2, first=100)
    assert left_out(read_folder(tmp_path, side=64)) == {}


# --- among the images to learn from


def pixels_of(part: LabelledImages | None) -> set[bytes]:
    assert part is not None
    return {image.tobytes() for image in part.images}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pooled", [False, True])
def test_no_copy_of_what_is_learnt_is_held_out(tmp_path: Path, pooled: bool, seed: int) -> None:
    """Every photograph is there twice, as it is where a folder was copied into another."""
    write(tmp_path / "train" / "good", write_all(tmp_path), first=100)
    dataset = read_folder(tmp_path, side=32, fit="squeeze")
    assert "20 images to learn from are copies and stay with their originals: train/good/100.png" in dataset.remarks[0]
    protocol = in_out if pooled else one_class
    splits = protocol(dataset, side=32, val_fraction=0.1, calibration_fraction=0.2, seed=seed)
    parts = [pixels_of(part) for part in (splits.train, splits.val, splits.calibration)]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len(set.union(*parts)) == 20
    groups = splits.targets.groups
    assert len({groups[name] for name in splits.train.ids}) == 14  # of which folds are made


def test_near_copies_of_what_is_learnt_stay_with_it(tmp_path: Path) -> None:
    learnt = write_all(tmp_path)
    write(tmp_path / "train" / "good", [saved_again(learnt[4])], first=100)
    dataset = read_folder(tmp_path, side=64)
    assert set(dataset.groups) == {"train/good/004.png", "train/good/100.png"}
    assert len(set(dataset.groups.values())) == 1


def test_copies_join_the_group_that_the_user_names(tmp_path: Path) -> None:
    write_all(tmp_path)
    more = photographs(3, 3)
    write(tmp_path / "train" / "good", [*more, *more[:2]], first=200)
    dataset = read_folder(tmp_path, side=64, rules=FolderRules(group="20[0-2]|204"))
    assert dict(dataset.groups) == {
        "train/good/200.png": "200",
        "train/good/203.png": "200",
        "train/good/201.png": "201",
        "train/good/204.png": "204",
        "train/good/202.png": "202",
    }
    assert "1 images to learn from are copies" in dataset.remarks[0]


def test_photographs_that_are_no_copies_have_no_group(tmp_path: Path) -> None:
    write_all(tmp_path)
    dataset = read_folder(tmp_path, side=64)
    assert (dict(dataset.groups), dataset.remarks) == ({}, ())


# --- the search


def whole(small: NDArray[np.float64], labels: NDArray[np.int64]) -> copies.Whole:
    small = small - small.mean(axis=1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    ids, count = tuple(map(str, range(len(small)))), len(small)
    return copies.Whole(ids, labels, np.zeros(count, np.uint64), np.zeros(count, bool), small.astype(np.float32))


def pair_by_pair(tested: copies.Whole, known: copies.Whole, other_class: bool) -> list[tuple[int, int]]:
    """As `NEAREST` is defined."""
    assert tested.small is not None
    assert known.small is not None
    usual = [np.sort(np.linalg.norm(known.small - original, axis=1))[3] for original in known.small]
    pairs = []
    for row, image in enumerate(tested.small):
        for of, original in enumerate(known.small):
            itself = tested is known and row == of
            alike = other_class and tested.labels[row] == known.labels[of]
            near = np.linalg.norm(image - original) < min(copies.NEAREST * usual[of], copies.FARTHEST)
            if near and not itself and not alike:
                pairs.append((row, of))
    return pairs


@pytest.mark.parametrize("spread", [0.05, 0.09, 0.3, 5.0])
def test_the_search_finds_what_comparing_all_pairs_does(monkeypatch: pytest.MonkeyPatch, spread: float) -> None:
    """At the lowest spread, photographs of a camera that does not move, every two are nearer than `FARTHEST`."""
    monkeypatch.setattr(copies, "ROWS_AT_ONCE", 16)
    random = np.random.default_rng(0)
    scene, shots = random.normal(size=1024), spread * random.normal(size=(130, 1024))
    shots[80:100] = shots[:20] + spread * np.linspace(0.02, 0.2, 20)[:, None] * random.normal(size=(20, 1024))
    shots[100:105] = shots[20:25]
    labels = random.integers(0, 2, 130)
    known, tested = whole(scene + shots[:80], labels[:80]), whole(scene + shots[80:], labels[80:])
    for pair in ((tested, known), (tested, tested), (known, known)):
        for other_class in (False, True):
            expected = pair_by_pair(*pair, other_class)
            assert list(copies._near_pairs(*pair, other_class=other_class)) == expected
    assert len(pair_by_pair(tested, known, other_class=False)) > 10
