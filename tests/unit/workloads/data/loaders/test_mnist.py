"""MNIST and Fashion-MNIST: real files where the system has them, else made IDX files."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray

from tests.helpers.files import cut_network, idx_bytes, pixels
from workloads.data.catalogue import CATALOGUE, entry
from workloads.data.datasets import load
from workloads.data.loaders.mnist import SYSTEM_FOLDERS
from workloads.data.reading.idx import read_idx
from workloads.errors import UserError


def write_idx_folder(folder: Path, gz: bool = False) -> dict[str, NDArray[np.uint8]]:
    folder.mkdir(parents=True)
    made: dict[str, NDArray[np.uint8]] = {}
    for split, n in (("train", 20), ("t10k", 10)):
        made[f"{split}-images-idx3-ubyte"] = pixels(n, 28, 28)
        made[f"{split}-labels-idx1-ubyte"] = (np.arange(n) % 10).astype(np.uint8)
    for name, values in made.items():
        raw = idx_bytes(values)
        (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(raw) if gz else raw)
    return made


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist"])
def test_mnist_reads_made_idx_files(tmp_path: Path, gz: bool, folder: str) -> None:
    made = write_idx_folder(tmp_path / folder, gz)
    mnist = load("mnist", tmp_path, download=False)
    assert np.array_equal(mnist.train.images[:, 0], made["train-images-idx3-ubyte"])
    assert np.array_equal(mnist.test.labels, made["t10k-labels-idx1-ubyte"])
    assert mnist.train.ids[7] == "mnist/train/00007"
    assert len(set(mnist.train.ids + mnist.test.ids)) == 30


def test_idx_agrees_with_torchvision(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "FashionMNIST" / "raw")
    ours = load("fashion_mnist", tmp_path, download=False)
    theirs = torchvision.datasets.FashionMNIST(str(tmp_path), train=True)
    assert np.array_equal(ours.train.images[:, 0], theirs.data.numpy())
    assert np.array_equal(ours.train.labels, theirs.targets.numpy())


GOOD_IDX = idx_bytes(np.zeros((4, 5, 6), np.uint8))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (GOOD_IDX[:-1], "only 119"),
        (GOOD_IDX + b"x", "has more"),
        (GOOD_IDX[:9], "truncated IDX header"),
        (b"", "truncated IDX header"),
        (b"\x00\x00\x08\x01" + GOOD_IDX[4:], "wrong magic number 0x00000801"),
        (b"\x00\x00\x0d\x03" + GOOD_IDX[4:], "wrong magic number"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "make no sense"),
        (b"\x00\x00\x08\x03" + bytes(12), "make no sense"),
    ],
)
@pytest.mark.parametrize("gz", [False, True])
def test_broken_idx_is_refused(tmp_path: Path, raw: bytes, message: str, gz: bool) -> None:
    path = tmp_path / ("broken.gz" if gz else "broken")
    path.write_bytes(gzip.compress(raw) if gz else raw)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path, 3)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "raw",
    [gzip.compress(GOOD_IDX)[:-12], b"no gzip at all", gzip.compress(GOOD_IDX)[:12]],
    ids=["cut", "no gzip", "header"],
)
def test_broken_gzip_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(raw)
    with pytest.raises(UserError):
        read_idx(path, 3)


def test_images_and_labels_must_match(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(9, np.uint8)))
    with pytest.raises(UserError, match="10 t10k images but 9 labels"):
        load("mnist", tmp_path, download=False)


def test_half_a_dataset_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_network(monkeypatch)
    write_idx_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="lacks t10k-labels-idx1-ubyte"):
        load("mnist", tmp_path, download=False)


FASHION = SYSTEM_FOLDERS["fashion_mnist"][0]


@pytest.mark.skipif(not FASHION.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fashion = load("fashion_mnist", tmp_path, download=False)
    assert fashion.train.images.shape == (60_000, 1, 28, 28)
    assert fashion.test.images.shape == (10_000, 1, 28, 28)
    assert np.array_equal(np.bincount(fashion.train.labels), np.full(10, 6000))
    assert fashion.classes[fashion.train.labels[0]] == "ankle-boot"
    assert not caplog.text


def test_other_files_than_published_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_folder(tmp_path / "mnist", gz=True)
    load("mnist", tmp_path, download=False)
    assert caplog.text.count("has MD5") == 4
    assert str(tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz") in caplog.text
    assert "20 train and 10 test images here, 60000 and 10000 as published" in caplog.text
    caplog.clear()
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / "mnist").iterdir()}
    monkeypatch.setitem(CATALOGUE, "mnist", replace(entry("mnist"), checksums=sums))
    load("mnist", tmp_path, download=False)
    assert "has MD5" not in caplog.text
