"""The datasets that flows are tested against, from small files made in exactly the published forms."""

import shutil
import struct
import sys
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from tests.helpers.files import idx_bytes, pixels, write_image
from workloads.data.catalogue import auxiliary_names, entry, out_set_names
from workloads.data.datasets import load, load_out
from workloads.data.loaders.celeba import read_partition
from workloads.data.out_sets import out_sets
from workloads.data.reading.facts import LSUN, TINY_IMAGENET_WNIDS
from workloads.errors import UserError
from workloads.units import ImageShape


def encoded(width: int, height: int, kind: str) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels(height, width, 3)).save(stream, kind)
    return stream.getvalue()


# --- LSUN


@pytest.fixture
def lsun_dir(tmp_path: Path) -> Path:
    """Three WebP images a category, as the published databases and as the publisher's script exports them."""
    for category in LSUN:
        database = tmp_path / "base" / "lsun" / f"{category}_val_lmdb"
        database.mkdir(parents=True)
        with lmdb.open(str(database), map_size=1 << 22) as opened, opened.begin(write=True) as records:
            for key in ("b1f0", "00aa", "ffee"):
                data = encoded(40, 32, "WEBP")
                records.put(key.encode(), data)
                file = tmp_path / "exported" / "lsun" / "val" / category / key[0] / key[1] / f"{key}.webp"
                file.parent.mkdir(parents=True)
                file.write_bytes(data)
    return tmp_path


def test_lsun_is_the_same_from_databases_and_from_folders(lsun_dir: Path) -> None:
    base, exported = (load("lsun", lsun_dir / form, side=16) for form in ("base", "exported"))
    assert base.test.ids == exported.test.ids
    assert base.test.ids[:3] == ("lsun/bedroom/00aa", "lsun/bedroom/b1f0", "lsun/bedroom/ffee")
    assert np.array_equal(base.test.images, exported.test.images)
    assert base.test.images.shape == (30, 3, 16, 16)
    assert np.bincount(base.test.labels).tolist() == [3] * 10
    assert len(base.train) == 0


def test_lsun_wants_all_categories_and_whole_databases(lsun_dir: Path) -> None:
    broken = lsun_dir / "base" / "lsun" / "tower_val_lmdb"
    (broken / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="LMDB"):
        load("lsun", lsun_dir / "base", side=16)
    shutil.rmtree(broken)
    with pytest.raises(UserError, match="lacks tower"):
        load("lsun", lsun_dir / "base", side=16)


def test_a_database_needs_its_package(lsun_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UserError, match=r"package lmdb is not installed[\s\S]*pip install lmdb"):
        load("lsun", lsun_dir / "base", side=16)
    assert len(load("lsun", lsun_dir / "exported", side=16).test) == 30


def test_a_link_out_of_lsun_is_not_followed(lsun_dir: Path) -> None:
    write_image(lsun_dir / "secret.png")
    for number in range(5):  # more than 5 % of all
        (lsun_dir / "exported/lsun/val/tower" / f"{number}.png").symlink_to(lsun_dir / "secret.png")
    with pytest.raises(UserError, match="links out of"):
        load("lsun", lsun_dir / "exported", side=16)


# --- CelebA


def test_celeba_follows_the_official_partition(tmp_path: Path) -> None:
    root = tmp_path / "celeba"
    for number in range(1, 7):
        write_image(root / "img_align_celeba" / f"{number:06d}.jpg", (178, 218))
    lines = [f"{number:06d}.jpg {part}" for number, part in enumerate((0, 0, 1, 2, 0, 2), 1)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    found = load("celeba", tmp_path, side=32)
    assert [Path(name).stem for name in found.train.ids] == ["000001", "000002", "000005"]
    assert [Path(name).stem for name in found.test.ids] == ["000004", "000006"]
    assert found.test.images.shape == (2, 3, 32, 32)
    alone = load_out("celeba", tmp_path, side=32, seed=0, download=False)
    assert alone.ids == found.test.ids
    assert np.array_equal(alone.images, found.test.images)


def test_ready_made_celeba_is_test_images_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    images = {number: pixels(32, 32, 3) for number in (2, 10, 1)}
    (tmp_path / "celeba").mkdir()
    for number, image in images.items():
        Image.fromarray(image).save(tmp_path / "celeba" / f"celeb_{number}.png")
    found = load("celeba", tmp_path, side=32)
    assert found.test.ids == ("celeb_1.png", "celeb_2.png", "celeb_10.png")
    assert np.array_equal(found.test.images[2], images[10].transpose(2, 0, 1)), "32x32 files are taken as they are"
    assert len(found.train) == 0


@pytest.mark.parametrize("line", ["000001.jpg 3", "000001.jpg", "../000001.jpg 0", " 0"])
def test_a_damaged_partition_names_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "partition.txt").write_text(f"000000.jpg 0\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        read_partition(tmp_path / "partition.txt")


# --- Tiny ImageNet


@pytest.fixture
def tiny_dir(tmp_path: Path) -> Path:
    root = tmp_path / "tiny-imagenet-200"
    for wnid in TINY_IMAGENET_WNIDS:
        folder = root / "train" / wnid / "images"
        folder.mkdir(parents=True)
        Image.fromarray(pixels(64, 64, 3)).save(folder / f"{wnid}_0.JPEG", "JPEG")
    for split in ("val", "test"):
        for number in range(3):
            path = root / split / "images" / f"{split}_{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            grey = number == 2  # a few of the published files are grey
            Image.fromarray(pixels(64, 64) if grey else pixels(64, 64, 3)).save(path, "JPEG")
    rows = [f"val_{i}.JPEG\t{TINY_IMAGENET_WNIDS[label]}\t0\t32\t44\t62" for i, label in enumerate((7, 199, 7))]
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_tiny_imagenet_has_labels_in_val_and_none_in_test(tiny_dir: Path) -> None:
    found = load("tiny_imagenet", tiny_dir, side=32)
    assert found.train.images.shape == (200, 3, 32, 32)
    assert found.train.labels.tolist() == list(range(200))
    assert found.test.ids == tuple(f"val/images/val_{i}.JPEG" for i in range(3))
    assert found.test.labels.tolist() == [7, 199, 7]
    assert len(TINY_IMAGENET_WNIDS) == len(set(TINY_IMAGENET_WNIDS)) == 200
    out = out_sets(("tiny_imagenet",), tiny_dir, shape=ImageShape(1, 16, 16), download=False)["tiny_imagenet"]
    assert out.ids == tuple(f"test/images/test_{i}.JPEG" for i in range(3))
    assert out.images.shape == (3, 1, 16, 16)


def test_a_damaged_list_of_tiny_imagenet_names_its_line(tiny_dir: Path) -> None:
    annotations = tiny_dir / "tiny-imagenet-200" / "val" / "val_annotations.txt"
    good = annotations.read_text()
    for line in ("val_9.JPEG\tn99999999\t0\t0\t1\t1", "nothing", "../x.JPEG\tn01443537\t0\t0\t1\t1"):
        annotations.write_text(good + line + "\n")
        with pytest.raises(UserError, match="line 4"):
            load("tiny_imagenet", tiny_dir, side=32)
    shutil.rmtree(tiny_dir / "tiny-imagenet-200" / "train" / "n01443537")
    with pytest.raises(UserError, match="lacks train/n01443537/images"):
        load("tiny_imagenet", tiny_dir, side=32)


# --- BraTS


def test_brats_slices_are_cut_and_chosen_by_modality(tmp_path: Path) -> None:
    root, slices = tmp_path / "brats", {}
    names = ("lgg/a_t1_80.png", "lgg/a_t1ce_80.png", "hgg/b/flair/80.png", "hgg/c_t1_90.png", "valid/d_t1_3.png")
    for name in (*names, "valid/d_t1ce_3.png", "valid/flair/e.png"):
        slices[name] = pixels(48, 40)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(slices[name]).save(root / name)
    every, t1, ce = (load(name, tmp_path, side=32) for name in ("brats", "brats_t1", "brats_t1ce"))
    assert (len(every.train), len(every.test)) == (4, 3)
    assert t1.train.ids == ("lgg/a_t1_80.png", "hgg/c_t1_90.png")
    assert (ce.train.ids, ce.test.ids) == (("lgg/a_t1ce_80.png",), ("valid/d_t1ce_3.png",))
    centre = slices["valid/d_t1_3.png"][8:40, 4:36]
    assert np.array_equal(t1.test.images[0], np.stack([centre] * 3)), "cut in the middle, not resized; grey three times"
    for image, name in zip(t1.train.images, t1.train.ids, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(slices[name], (32, 32))
        assert (windows == image[0]).all(axis=(2, 3)).any(), "a cut at the slice's own resolution"
    assert np.array_equal(load("brats_t1", tmp_path, side=32).train.images, t1.train.images)
    with pytest.raises(UserError, match="no t2 files"):
        load("brats_t2", tmp_path, side=32)
    with pytest.raises(UserError, match="smaller than 48x48"):
        load("brats_t1", tmp_path, side=48)


# --- Omniglot and KMNIST


def test_omniglot_is_grey_and_its_sets_stay_apart(tmp_path: Path) -> None:
    for split, alphabet in (("images_background", "Greek"), ("images_evaluation", "Tibetan")):
        folder = tmp_path / "omniglot-py" / split / alphabet / "character01"
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(pixels(105, 105) > 128).save(folder / f"0001_0{number}.png")  # 1 bit, as published
    found = load("omniglot", tmp_path, side=28)
    assert found.train.images.shape == found.test.images.shape == (2, 1, 28, 28)
    assert all(name.startswith("images_background/Greek/character01/") for name in found.train.ids)
    assert all(name.startswith("images_evaluation/Tibetan/") for name in found.test.ids)
    shutil.rmtree(tmp_path / "omniglot-py" / "images_evaluation")
    with pytest.raises(UserError, match="lacks images_evaluation"):
        load("omniglot", tmp_path, side=28)


def test_kmnist_is_read_as_mnist(tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    images = pixels(10, 28, 28)
    for split in ("train", "t10k"):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        labels = struct.pack(">II", 0x801, 10) + bytes(range(10))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    found = load("kmnist", tmp_path, download=False)
    assert np.array_equal(found.test.images[:, 0], images)
    assert found.classes[3] == "tsu"


# --- the catalogue


def test_what_cannot_be_learnt_is_an_out_set_only() -> None:
    assert entry("lsun").out_only
    assert "lsun" in out_set_names("cifar10")
    assert "lsun" not in auxiliary_names()
    assert {"photo_tiles", "folder", "arrays", "tiny_images", "celeba", "cifar100"} <= set(auxiliary_names())
    assert len(set(auxiliary_names())) == len(auxiliary_names())
