"""Copies among a user's images are found, counted and left out; photographs of one surface are no copies."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from workloads.data.images import Dataset
from workloads.data.loaders.user_folder import read_folder
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
