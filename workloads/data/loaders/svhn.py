"""SVHN's cropped digits, from the two published .mat files (MATLAB 5: arrays, not pickles), else downloaded."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.published_files import REFETCH, numbered, one_line, patient_download, warn_if_changed
from workloads.errors import UserError, data_missing

FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


def svhn(data_dir: Path, download: bool) -> Dataset:
    """SVHN (uint8, 3x32x32, 73,257 + 26,032), looked for in ``svhn/`` and in the data folder itself.

    A file whose MD5 is not the published one is read all the same, with a warning; a download must have it.
    Raises UserError for a damaged file, UserError where it can be had nowhere.
    """
    places = (data_dir / "svhn", data_dir)
    reasons: list[str] = []
    for place in places:
        missing = [file for file in FILES.values() if not (place / file).is_file()]
        if not missing:
            return _read(place)
        if len(missing) < len(FILES):
            reasons.append(f"{place} lacks {', '.join(missing)}")
    if download:
        try:
            _fetch(places[0])
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            reasons.append(f"the download failed: {one_line(error)}")
        else:
            return _read(places[0])
    raise data_missing("svhn", places, entry("svhn").how_to_get, reasons)


def read_svhn_mat(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of one file, which calls the digit 0 ten.

    Raises UserError for a file that is no MATLAB file, or lacks X (uint8, 32x32x3xN) or y (N labels, 1 to 10).
    """
    from scipy.io import loadmat  # takes a while, and the other loaders do without

    try:
        found = loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # scipy's reader raises a dozen kinds on damaged files
        raise UserError(f"not a whole MATLAB file: {one_line(error)}", where=str(path), fix=REFETCH) from error
    images, labels = np.asarray(found.get("X")), np.asarray(found.get("y")).reshape(-1)
    if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or images.ndim != 4 or not images.size:
        raise UserError(
            f"X is {images.dtype} {images.shape}, expected uint8 (32, 32, 3, N)", where=str(path), fix=REFETCH
        )
    if len(labels) != images.shape[3]:
        raise UserError(f"{images.shape[3]} images but {len(labels)} labels", where=str(path), fix=REFETCH)
    if not np.isin(labels, range(1, 11)).all():
        raise UserError(f"labels {labels.min()} to {labels.max()}, expected 1 to 10", where=str(path), fix=REFETCH)
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels.astype(np.int64) % 10


def _read(folder: Path) -> Dataset:
    splits = []
    for file in FILES.values():
        warn_if_changed("svhn", folder / file)
        splits.append(read_svhn_mat(folder / file))
    return numbered("svhn", *splits)


def _fetch(folder: Path) -> None:
    from torchvision.datasets import SVHN

    with patient_download():
        for split in FILES:
            SVHN(root=str(folder), split=split, download=True)
