"""MNIST, Fashion-MNIST and Kuzushiji-MNIST: where their IDX files are looked for, and the download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import Dataset
from workloads.data.reading.idx import read_idx
from workloads.data.reading.published_files import damaged, numbered, place_of, warn_if_changed
from workloads.errors import UserError

IDX_FILES = tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
TORCHVISION_NAMES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
SYSTEM_FOLDERS = {"fashion_mnist": (Path("/usr/share/datasets/fashion-mnist"),)}  # Debian's dataset-fashion-mnist


def mnist_like(name: str, data_dir: Path, download: bool) -> Dataset:
    """MNIST, Fashion-MNIST or Kuzushiji-MNIST (uint8, 1x28x28, 60,000 + 10,000) from IDX files, else downloaded.

    Raises UserError for a damaged file, and where it can be had nowhere.
    """
    title = TORCHVISION_NAMES[name]
    places = (data_dir / title / "raw", data_dir / name, *SYSTEM_FOLDERS.get(name, ()))

    def lacks(place: Path) -> list[str]:
        return [file for file in IDX_FILES if _idx_file(place, file) is None]

    def fetch() -> None:
        import torchvision.datasets

        getattr(torchvision.datasets, title)(root=str(data_dir), download=True)

    return _read_idx_folder(name, place_of(name, places, lacks, fetch if download else None))


def _idx_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx_folder(name: str, folder: Path) -> Dataset:
    def read(file: str, dims: int) -> NDArray[np.uint8]:
        path = _idx_file(folder, file)
        if path is None:
            raise FileNotFoundError(folder / file)
        if folder not in SYSTEM_FOLDERS.get(name, ()):  # a distribution packs the same content anew
            warn_if_changed(name, path)
        return read_idx(path, dims)

    splits = []
    for split in ("train", "t10k"):
        images, labels = read(f"{split}-images-idx3-ubyte", 3), read(f"{split}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            headline = f"{len(images)} {split} images but {len(labels)} labels"
            raise UserError(headline, where=str(folder), fix="fetch both files again")
        if labels.max() > 9:
            raise damaged(f"label {labels.max()} in {split}, expected 0 to 9", folder)
        splits.append((images[:, None], labels.astype(np.int64)))
    return numbered(name, *splits)
