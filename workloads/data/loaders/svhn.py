"""SVHN's cropped digits, from the two published .mat files (MATLAB 5: arrays, not pickles), else downloaded."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.images import Dataset
from workloads.data.reading.published_files import damaged, numbered, one_line, place_of, warn_if_changed

FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


def svhn(data_dir: Path, download: bool) -> Dataset:
    """SVHN (uint8, 3x32x32, 73,257 + 26,032), looked for in ``svhn/`` and in the data folder itself.

    A file whose MD5 is not the published one is read all the same, with a warning; a download must have it.
    Raises UserError for a damaged file, and where it can be had nowhere.
    """
    places = (data_dir / "svhn", data_dir)

    def lacks(place: Path) -> list[str]:
        return [file for file in FILES.values() if not (place / file).is_file()]

    def fetch() -> None:
        from torchvision.datasets import SVHN

        for split in FILES:
            SVHN(root=str(places[0]), split=split, download=True)

    folder = place_of("svhn", places, lacks, fetch if download else None)
    splits = []
    for file in FILES.values():
        warn_if_changed("svhn", folder / file)
        splits.append(read_svhn_mat(folder / file))
    return numbered("svhn", *splits)


def read_svhn_mat(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of one file, which calls the digit 0 ten.

    Raises UserError for a file that is no MATLAB file, or lacks X (uint8, 32x32x3xN) or y (N labels, 1 to 10).
    """
    from scipy.io import loadmat  # takes a while, and the other loaders do without

    try:
        arrays = loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # scipy's reader raises a dozen kinds on damaged files
        raise damaged(f"not a whole MATLAB file: {one_line(error)}", path) from error
    images, labels = np.asarray(arrays.get("X")), np.asarray(arrays.get("y")).reshape(-1)
    if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or images.ndim != 4 or not images.size:
        raise damaged(f"X is {images.dtype} {images.shape}, expected uint8 (32, 32, 3, N)", path)
    if len(labels) != images.shape[3]:
        raise damaged(f"{images.shape[3]} images but {len(labels)} labels", path)
    if not np.isin(labels, range(1, 11)).all():
        raise damaged(f"labels {labels.min()} to {labels.max()}, expected 1 to 10", path)
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels.astype(np.int64) % 10
