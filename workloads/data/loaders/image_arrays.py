"""Auxiliary images from NumPy files: the .npz batches of downsampled ImageNet (Chrabaszcz et al., 1707.08819), or .npy.

Their other published form is pickled; a pickle can run any program, so it is not opened.
"""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.reading.array_file import check_claims
from workloads.data.reading.published_files import REFETCH, one_line
from workloads.errors import UserError

SUFFIXES = (".npz", ".npy")
KEY = "data"
FIX = "use the published .npz batches, or save the images with numpy.save as uint8 (N, H, W, 3)"


def image_arrays(path: Path) -> NDArray[np.uint8]:
    """All images of one file, or of a folder's files in the order of their names: uint8 (N, 3 or 1, S, S).

    .npz: the array ``data``, N x 3*S*S, red, green and blue planes of one image after the other (S is 32 or 64 as
    published), or one of the forms of .npy. .npy: N x 3*S*S alike, or (N, S, S, 3 or 1), or (N, 3 or 1, S, S).

    Raises UserError for a pickled file, another type or shape, damaged files, and files that do not go together.
    """
    if not path.exists():
        raise UserError("there is no such file or folder", where=str(path), fix=FIX)
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        if not any(p.suffix in SUFFIXES for p in files):
            others = f", only {', '.join(p.name for p in files[:3])}" if files else ""
            raise UserError(f"no .npz or .npy files in it{others}", where=str(path), fix=FIX)
        files = [p for p in files if p.suffix in SUFFIXES]
    batches = [_batch(file) for file in files]
    shapes = {batch.shape[1:] for batch in batches}
    if len(shapes) > 1:
        raise UserError(f"the files hold images of {len(shapes)} shapes, {shapes}", where=str(path), fix=FIX)
    return np.concatenate(batches)


def _batch(file: Path) -> NDArray[np.uint8]:
    if file.suffix not in SUFFIXES:
        raise UserError("not .npz or .npy: pickled batches are not opened", where=str(file), fix=FIX)
    try:
        check_claims(file)
        opened = np.load(file, allow_pickle=False)
        values = np.asarray(opened[KEY] if file.suffix == ".npz" else opened)
    except KeyError as error:
        raise UserError(f"no array {KEY!r} in it", where=str(file), fix=FIX) from error
    except ValueError as error:  # NumPy's word for a pickle, and for a header that makes no sense
        raise UserError(f"no plain array: {one_line(error)}", where=str(file), fix=FIX) from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"not a whole file: {one_line(error)}", where=str(file), fix=REFETCH) from error
    if values.dtype != np.uint8 or not values.size:
        raise UserError(f"{values.size} values of {values.dtype}, expected uint8", where=str(file), fix=FIX)
    return _planes(values, file)


def _planes(values: NDArray[np.uint8], file: Path) -> NDArray[np.uint8]:
    side = math.isqrt(values.shape[1] // 3) if values.ndim == 2 else 0
    if side and values.shape[1] == 3 * side * side:
        return values.reshape(-1, 3, side, side)
    if values.ndim == 4 and values.shape[1] in (1, 3) and values.shape[2] == values.shape[3]:
        return values
    if values.ndim == 4 and values.shape[3] in (1, 3) and values.shape[1] == values.shape[2]:
        return values.transpose(0, 3, 1, 2)
    raise UserError(f"an array of shape {values.shape} holds no square images", where=str(file), fix=FIX)
