"""CIFAR-10 and CIFAR-100 (fine classes), from the binary version, else torchvision's, else downloaded.

Only torchvision's files are pickles; torchvision checks the MD5 of every one against the published sums before it opens
it, and this module opens none itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.published_files import damaged, not_here, numbered, one_line, patient_download

PIXELS = 3 * 32 * 32  # red, green and blue planes, row by row


def cifar(name: str, data_dir: Path, download: bool) -> Dataset:
    """``cifar10`` or ``cifar100`` (uint8, 3x32x32, 50,000 + 10,000); labels are the fine ones.

    Raises UserError for a damaged binary file, and where it can be had nowhere.
    """
    form = BINARY[name]
    binary, python = data_dir / form.folder, data_dir / form.python
    reasons: list[str] = []
    if binary.is_dir():
        missing = [file for file in (*form.train, *form.test) if not (binary / file).is_file()]
        if not missing:
            return numbered(name, *(_split(name, binary, files) for files in (form.train, form.test)))
        reasons.append(f"{binary} lacks {', '.join(missing)}")
    for fetch in [False] * python.is_dir() + [True] * download:
        try:
            with patient_download():
                return _through_torchvision(name, data_dir, fetch)
        except (OSError, RuntimeError) as error:  # RuntimeError: a file is missing or fails its checksum
            reasons.append(f"{'the download failed' if fetch else python}: {one_line(error)}")
    raise not_here(name, (binary, python), reasons)


def read_cifar_bin(path: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of one binary file of the dataset `name`.

    A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100: the fine one is taken), then the
    pixels. Raises UserError where the size is not a whole number of records or a label is out of range.
    """
    labels = BINARY[name].label_bytes
    record = labels + PIXELS
    size = path.stat().st_size
    if size == 0 or size % record:
        raise damaged(f"{size} bytes are not a whole number of {record}-byte {name} records", path)
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, record)
    fine, highest = records[:, labels - 1], len(entry(name).classes or ()) - 1
    if fine.max() > highest:
        raise damaged(f"label {fine.max()} in a {name} file, expected 0 to {highest}", path)
    return records[:, labels:].reshape(-1, 3, 32, 32), fine.astype(np.int64)


def _split(name: str, folder: Path, files: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    parts = [read_cifar_bin(folder / file, name) for file in files]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _through_torchvision(name: str, data_dir: Path, download: bool) -> Dataset:
    import torchvision.datasets  # takes seconds, and the other loaders do without

    read = getattr(torchvision.datasets, BINARY[name].torchvision)
    parts: list[Any] = [read(root=str(data_dir), train=train, download=download) for train in (True, False)]
    splits = [(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), np.asarray(part.targets)) for part in parts]
    return numbered(name, *splits)


@dataclass(frozen=True)
class BinaryFormat:
    """Folders of the binary and the Python version, the binary version's files, label bytes before each image."""

    folder: str
    python: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    torchvision: str


BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
BINARY = {
    "cifar10": BinaryFormat("cifar-10-batches-bin", "cifar-10-batches-py", BATCHES, ("test_batch.bin",), 1, "CIFAR10"),
    "cifar100": BinaryFormat("cifar-100-binary", "cifar-100-python", ("train.bin",), ("test.bin",), 2, "CIFAR100"),
}
