"""CIFAR-10 and CIFAR-100 from made files: the binary version, and torchvision's pickles, whose checksums it checks."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray

from tests.helpers.files import pixels
from workloads.data.catalogue import entry
from workloads.data.datasets import load
from workloads.data.loaders.cifar import BINARY, read_cifar_bin
from workloads.errors import UserError

Records = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def cifar_records(n: int) -> Records:
    return pixels(n, 3072), (np.arange(n) % 10).astype(np.uint8)


def write_binary(root: Path, name: str) -> dict[str, Records]:
    """Ten images a file; before the label of CIFAR-100 stands a coarse one, 19."""
    layout = BINARY[name]
    (root / layout.folder).mkdir()
    made = {file: cifar_records(10) for file in (*layout.train, *layout.test)}
    for file, (images, labels) in made.items():
        records = [bytes([19, k][-layout.label_bytes :]) + row.tobytes() for row, k in zip(images, labels, strict=True)]
        (root / layout.folder / file).write_bytes(b"".join(records))
    return made


@pytest.mark.parametrize(("name", "file", "start"), [("cifar10", "data_batch_2.bin", 10), ("cifar100", "train.bin", 0)])
def test_binary_version(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, file: str, start: int) -> None:
    made = write_binary(tmp_path, name)
    cifar = load(name, tmp_path, download=False)
    assert len(cifar.train) == 10 * len(BINARY[name].train)
    assert len(cifar.test) == 10
    assert cifar.classes == entry(name).classes
    images, labels = made[file]
    rows = slice(start, start + 10)
    assert np.array_equal(cifar.train.images[rows].reshape(10, -1), images)
    assert np.array_equal(cifar.train.labels[rows], labels)
    # Record layout: the pixel (row 1, column 2) of the green plane.
    assert cifar.train.images[start, 1, 1, 2] == images[0, 1024 + 32 + 2]
    assert "50000 and 10000 as published" in caplog.text


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("cifar10", bytes(3072), "3073-byte"),
        ("cifar10", b"", "0 bytes"),
        ("cifar10", bytes(3074), "3074"),
        ("cifar10", b"\x0a" + bytes(3072), "label 10 in a cifar10 file, expected 0 to 9"),
        ("cifar100", bytes(3073), "3074-byte"),
        ("cifar100", b"\x00\x64" + bytes(3072), "label 100 in a cifar100 file, expected 0 to 99"),
    ],
)
def test_broken_binary_is_refused(tmp_path: Path, name: str, raw: bytes, message: str) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=message):
        read_cifar_bin(path, name)


def test_a_lacking_binary_file_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path, "cifar100")
    (tmp_path / "cifar-100-binary" / "test.bin").unlink()
    with pytest.raises(UserError, match=r"cifar-100-binary lacks test\.bin"):
        load("cifar100", tmp_path, download=False)


def write_python(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Records]:
    """torchvision's files, and torchvision told to expect their checksums."""
    theirs: Any = getattr(torchvision.datasets, BINARY[name].torchvision)
    folder = root / BINARY[name].python
    folder.mkdir()
    made: dict[str, Records] = {}
    sums: dict[str, str] = {}
    train, test = (("data_batch_1", "data_batch_2"), "test_batch") if name == "cifar10" else (("train",), "test")
    for file in (*train, test):
        made[file] = cifar_records(10)
        key = "labels" if name == "cifar10" else "fine_labels"
        raw = pickle.dumps({"data": made[file][0], key: made[file][1].tolist()})
        (folder / file).write_bytes(raw)
        sums[file] = hashlib.md5(raw).hexdigest()
    meta = theirs.meta | {"md5": ""}
    raw = pickle.dumps({meta["key"]: list(entry(name).classes or ())})
    (folder / meta["filename"]).write_bytes(raw)
    monkeypatch.setattr(theirs, "train_list", [[file, sums[file]] for file in train])
    monkeypatch.setattr(theirs, "test_list", [[test, sums[test]]])
    monkeypatch.setattr(theirs, "meta", meta | {"md5": hashlib.md5(raw).hexdigest()})
    return made


@pytest.mark.parametrize(("name", "last"), [("cifar10", "data_batch_2"), ("cifar100", "train")])
def test_python_version_through_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, last: str
) -> None:
    made = write_python(tmp_path, name, monkeypatch)
    cifar = load(name, tmp_path, download=False)
    assert np.array_equal(cifar.train.images[-10:].reshape(10, -1), made[last][0])
    assert np.array_equal(cifar.train.labels[-10:], made[last][1])
    assert cifar.train.ids[3] == f"{name}/train/00003"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path(tmp_path / "exploded").touch, ()

    (tmp_path / BINARY[name].python / last).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="corrupted"):
        load(name, tmp_path, download=False)
    assert not (tmp_path / "exploded").exists()
