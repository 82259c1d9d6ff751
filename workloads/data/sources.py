"""CIFAR-10, MNIST and Fashion-MNIST: where their files are looked for, and the download.

Only torchvision's CIFAR-10 files are pickles; torchvision checks the MD5 of every one against the published sums before
it opens it, and this module opens none itself.
"""

import contextlib
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.idx import REFETCH, read_idx
from workloads.data.images import Dataset, LabelledImages
from workloads.errors import BadInputError, DataMissingError

log = logging.getLogger(__name__)

CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then red, green and blue planes, row by row
CIFAR_FILE_RECORDS = 10_000
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
IDX_FILES = tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
TORCHVISION_NAMES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
SYSTEM_FOLDERS = {"fashion_mnist": (Path("/usr/share/datasets/fashion-mnist"),)}  # Debian's dataset-fashion-mnist
TIMEOUT = 30.0  # seconds without an answer; torchvision itself would wait for ever


def cifar10(data_dir: Path, download: bool) -> Dataset:
    """CIFAR-10 (uint8, 3x32x32, 50,000 + 10,000), from its binary files, else torchvision's, else downloaded.

    Raises BadInputError for a damaged binary file, DataMissingError where it can be had nowhere.
    """
    binary = data_dir / "cifar-10-batches-bin"
    python = data_dir / "cifar-10-batches-py"
    reasons: list[str] = []
    if binary.is_dir():
        missing = [name for name in (*CIFAR_TRAIN, *CIFAR_TEST) if not (binary / name).is_file()]
        if not missing:
            return _dataset("cifar10", *(_cifar_split(binary, names) for names in (CIFAR_TRAIN, CIFAR_TEST)))
        reasons.append(f"{binary} lacks {', '.join(missing)}")
    if python.is_dir():
        try:
            return _cifar_torchvision(data_dir, download=False)
        except RuntimeError as error:  # torchvision's word for a file that is missing or fails its checksum
            reasons.append(f"{python}: {_one_line(error)}")
    if download:
        try:
            with _patient_download():
                return _cifar_torchvision(data_dir, download=True)
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            reasons.append(f"the download failed: {_one_line(error)}")
    raise DataMissingError("cifar10", (binary, python), entry("cifar10").how_to_get, reasons)


def mnist_like(name: str, data_dir: Path, download: bool) -> Dataset:
    """MNIST or Fashion-MNIST (uint8, 1x28x28, 60,000 + 10,000) from IDX files, plain or .gz, else downloaded.

    Raises BadInputError for a damaged file, DataMissingError where it can be had nowhere.
    """
    title = TORCHVISION_NAMES[name]
    places = (data_dir / title / "raw", data_dir / name, *SYSTEM_FOLDERS.get(name, ()))
    reasons: list[str] = []
    for place in places:
        missing = [file for file in IDX_FILES if _idx_file(place, file) is None]
        if not missing:
            return _read_idx_folder(name, place)
        if len(missing) < len(IDX_FILES):
            reasons.append(f"{place} lacks {', '.join(missing)}")
    if download:
        try:
            _fetch_idx(title, data_dir)
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            reasons.append(f"the download failed: {_one_line(error)}")
        else:
            return _read_idx_folder(name, places[0])
    raise DataMissingError(name, places, entry(name).how_to_get, reasons)


def read_cifar_bin(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of one file of CIFAR-10's binary version.

    Raises BadInputError where the size is not a whole number of 3,073-byte records or a label is above 9.
    """
    size = path.stat().st_size
    if size == 0 or size % CIFAR_RECORD:
        raise BadInputError(
            f"{size} bytes are not a whole number of {CIFAR_RECORD}-byte CIFAR-10 records", where=str(path), fix=REFETCH
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, CIFAR_RECORD)
    if records[:, 0].max() > 9:
        raise BadInputError(
            f"label {records[:, 0].max()} in a CIFAR-10 file, expected 0 to 9", where=str(path), fix=REFETCH
        )
    if len(records) != CIFAR_FILE_RECORDS:
        log.warning("%s has %d images, the published file has %d", path, len(records), CIFAR_FILE_RECORDS)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _cifar_split(folder: Path, names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    parts = [read_cifar_bin(folder / name) for name in names]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _cifar_torchvision(data_dir: Path, download: bool) -> Dataset:
    from torchvision.datasets import CIFAR10  # takes seconds, and the other loaders do without

    parts: list[Any] = [CIFAR10(root=str(data_dir), train=train, download=download) for train in (True, False)]
    splits = [(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), np.asarray(part.targets)) for part in parts]
    return _dataset("cifar10", *splits)


def _fetch_idx(title: str, data_dir: Path) -> None:
    import torchvision.datasets as torchvision_datasets

    with _patient_download():
        getattr(torchvision_datasets, title)(root=str(data_dir), download=True)


@contextlib.contextmanager
def _patient_download() -> Iterator[None]:
    """A time limit for a silent server, and no chatter on standard output, which may be carrying JSON."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _idx_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx_folder(name: str, folder: Path) -> Dataset:
    def read(file: str, dims: int) -> NDArray[np.uint8]:
        path = _idx_file(folder, file)
        if path is None:
            raise FileNotFoundError(folder / file)
        return read_idx(path, dims)

    splits = []
    for split in ("train", "t10k"):
        images, labels = read(f"{split}-images-idx3-ubyte", 3), read(f"{split}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise BadInputError(
                f"{len(images)} {split} images but {len(labels)} labels",
                where=str(folder),
                fix="fetch both files again",
            )
        if labels.max() > 9:
            raise BadInputError(f"label {labels.max()} in {split}, expected 0 to 9", where=str(folder), fix=REFETCH)
        splits.append((images[:, None], labels.astype(np.int64)))
    return _dataset(name, *splits)


def _dataset(name: str, *splits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> Dataset:
    train, test = (
        LabelledImages(images, labels.astype(np.int64), tuple(f"{name}/{split}/{i:05d}" for i in range(len(images))))
        for split, (images, labels) in zip(("train", "test"), splits, strict=True)
    )
    return Dataset(name, entry(name).classes or (), train, test)
