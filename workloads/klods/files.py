"""Latents of any flow from array files."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.klods.latents import checked

LOG_PROB = "log_prob"


@dataclass(frozen=True)
class Source:
    """Latents of some images, one tensor (N, C, H, W) a level, and their log p (N,) in nats where the file has it."""

    name: str
    levels: list[Tensor]
    log_prob: Tensor | None


def read(path: Path) -> Source:
    """A .npy file is one level; an .npz file, or a folder of .npy files, has a level an entry, sorted by name.

    Entry `log_prob` is no level but log p of the images. Nothing is unpickled. Raises UserError with the file.
    """
    if path.is_dir():
        arrays = {file.stem: array for file in sorted(path.glob("*.npy")) for array in _arrays(file).values()}
    else:
        arrays = _arrays(path)
    density = arrays.pop(LOG_PROB, None)
    names = sorted(arrays, key=lambda name: (len(name), name))  # z10 after z9
    levels = [_tensor(arrays[name], f"{path}, {name}") for name in names]
    checked(levels, str(path))
    return Source(path.stem, levels, None if density is None else _tensor(density, f"{path}, {LOG_PROB}").double())


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {path.stem: stored}
        with stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        fix = "a .npy or .npz file, or a folder of .npy files"
        raise UserError("no such file", where=str(path), fix=fix) from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"no NumPy arrays: {error}", where=str(path)) from None


def _tensor(array: np.ndarray, where: str) -> Tensor:
    if array.dtype.kind != "f":
        raise UserError(f"{array.dtype} {array.shape}", where=where, fix="floating-point numbers")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
