"""MNIST, Fashion-MNIST and Kuzushiji-MNIST: where their IDX files are looked for, and the download."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.idx import read_idx
from workloads.data.reading.published_files import REFETCH, numbered, one_line, patient_download, warn_if_changed
from workloads.errors import UserError, data_missing

IDX_FILES = tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
TORCHVISION_NAMES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
SYSTEM_FOLDERS = {"fashion_mnist": (Path("/usr/share/datasets/fashion-mnist"),)}  # Debian's dataset-fashion-mnist


def mnist_like(name: str, data_dir: Path, download: bool) -> Dataset:
    """MNIST, Fashion-MNIST or Kuzushiji-MNIST (uint8, 1x28x28, 60,000 + 10,000) from IDX files, else downloaded.

    Raises UserError for a damaged file, UserError where it can be had nowhere.
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
            reasons.append(f"the download failed: {one_line(error)}")
        else:
            return _read_idx_folder(name, places[0])
    raise data_missing(name, places, entry(name).how_to_get, reasons)


def _fetch_idx(title: str, data_dir: Path) -> None:
    import torchvision.datasets

    with patient_download():
        getattr(torchvision.datasets, title)(root=str(data_dir), download=True)


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
            raise UserError(
                f"{len(images)} {split} images but {len(labels)} labels",
                where=str(folder),
                fix="fetch both files again",
            )
        if labels.max() > 9:
            raise UserError(f"label {labels.max()} in {split}, expected 0 to 9", where=str(folder), fix=REFETCH)
        splits.append((images[:, None], labels.astype(np.int64)))
    return numbered(name, *splits)
