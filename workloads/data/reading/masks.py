"""Masks of anomalous pixels, beside the test images as MVTec AD lays them out.

The mask of ``test/<class>/<stem>.<any>`` is ``ground_truth/<class>/<stem>_mask.png`` or ``<stem>.png``.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.reading.account import few_of
from workloads.data.reading.decode import UnreadableError, decode_mask
from workloads.data.reading.folder import Listed, check_file, file_id
from workloads.errors import UserError

GROUND_TRUTH = "ground_truth"


def masks_folder(class_folder: Path) -> Path:
    """Where the masks of ``test/<class>`` lie."""
    return class_folder.parent.parent / GROUND_TRUTH / class_folder.name


def read_masks(test: Sequence[Listed], normal: Collection[str], root: Path, side: int) -> NDArray[np.uint8]:
    """Masks of the test images, in their order: uint8 (N, side, side), 1 where anomalous (see `decode_mask`).

    Those of the classes in `normal` are 0 throughout and need no file. Raises UserError naming the image files that
    have no mask, or the mask file that cannot be used.
    """
    masks = np.zeros((len(test), side, side), dtype=np.uint8)
    without: list[str] = []
    for row, item in enumerate(test):
        if item.name in normal:
            continue
        mask = _mask_of(item.file)
        if mask is None:
            without.append(file_id(item.file, root))
            continue
        try:
            check_file(mask, root)
            masks[row] = decode_mask(mask, item.file, side)
        except UnreadableError as error:
            raise UserError(f"a mask that cannot be used: {error}", where=str(mask), fix="mend it") from error
    if without:
        fix = f"add {GROUND_TRUTH}/<class>/<name>_mask.png of the image's size, black where nothing is wrong"
        raise UserError(f"{len(without)} test images have no mask: {few_of(without)}", where=str(root), fix=fix)
    return masks


def _mask_of(image: Path) -> Path | None:
    folder = masks_folder(image.parent)
    return next((p for p in (folder / f"{image.stem}_mask.png", folder / f"{image.stem}.png") if p.exists()), None)
