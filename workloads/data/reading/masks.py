"""Masks of anomalous pixels, beside the test images as MVTec AD and MVTec LOCO AD lay them out.

The mask of ``test/<class>/<stem>.<any>`` is ``ground_truth/<class>/<stem>_mask.<any>`` or ``<stem>.<any>``; or all
images in the folder ``ground_truth/<class>/<stem>/`` together. A table of the images names the masks itself.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.reading.account import SUFFIXES, few_of
from workloads.data.reading.decode import UnreadableError
from workloads.data.reading.folder import GROUND_TRUTH, Listed, check_file, file_id
from workloads.data.reading.mask_file import decode_mask, fitted_mask
from workloads.data.windows import Form
from workloads.errors import UserError

log = logging.getLogger(__name__)


def masks_folder(class_folder: Path) -> Path:
    """Where the masks of ``test/<class>`` lie."""
    return class_folder.parent.parent / GROUND_TRUTH / class_folder.name


def read_masks(
    test: Mapping[Listed, tuple[int, int]], normal: Collection[str], root: Path, form: Form
) -> tuple[NDArray[np.uint8], list[str]]:
    """Masks of the test images' windows, in their order, uint8 (N, h, w), 1 where anomalous (see `decode_mask`) and
    `IGNORED` in the form's region; and what a reader of the results must know of them, in sentences.

    test: images with their height and width. Those of the classes in `normal` are 0 throughout and need no file. Raises
    UserError naming the image files that have no mask, or the mask file that cannot be used.
    """
    masks: list[NDArray[np.uint8]] = []
    without: list[str] = []
    empty: list[str] = []
    lost: list[str] = []
    folders = {folder: _Folder(folder, root) for folder in {masks_folder(item.file.parent) for item in test}}
    for item, (height, width) in test.items():
        mask, name = np.zeros((height, width), np.uint8), file_id(item.file, root)
        if item.name not in normal:
            files = [item.mask] if item.mask else folders[masks_folder(item.file.parent)].take(item.file.stem)
            if not files:
                without.append(name)
                continue
            mask = _read(files, height, width, root)
        masks.append(fitted_mask(mask, form))
        if item.name not in normal and not (masks[-1] == 1).any():
            (lost if mask.any() else empty).append(name)
    if without:
        fix = f"add {GROUND_TRUTH}/<class>/<name>_mask.png of the image's size, black where nothing is wrong"
        raise UserError(f"{len(without)} test images have no mask: {few_of(without)}", where=str(root), fix=fix)
    return np.concatenate(masks), _remarks(empty, lost, [name for folder in folders.values() for name in folder.unused])


def _read(files: Sequence[Path], height: int, width: int, root: Path) -> NDArray[np.uint8]:
    try:
        for file in files:
            check_file(file, root)
        return decode_mask(files, height, width)
    except UnreadableError as error:
        raise UserError(f"a mask that cannot be used: {error}", where=str(files[0]), fix="mend it") from error


def _remarks(empty: Sequence[str], lost: Sequence[str], unused: Sequence[str]) -> list[str]:
    """What is to be known of the masks, in sentences; each of them is logged as a warning, too."""
    lines = {
        "anomalous test images have masks that mark nothing, so all their pixels count as normal": empty,
        "masks mark nothing any more once they are brought to windows, thin, far out or ignored as it is": lost,
        f"files in {GROUND_TRUTH}/ are masks of no test image": unused,
    }
    sentences = [f"{len(names)} {text}: {few_of(names)}" for text, names in lines.items() if names]
    for sentence in sentences:
        log.warning("%s", sentence)
    return sentences


class _Folder:
    """The masks of one class, by the stems of their names. unused: names of those that nobody has taken."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root, self.by_stem = root, dict[str, list[Path]]()
        inside = folder.is_relative_to(root) and folder.is_dir()  # images of a table may lie in the root itself
        for path in sorted(folder.iterdir()) if inside else ():
            if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in SUFFIXES):
                self.by_stem.setdefault(path.name if path.is_dir() else path.stem, []).append(path)

    @property
    def unused(self) -> list[str]:
        return [file_id(path, self.root) for paths in self.by_stem.values() for path in paths]

    def take(self, stem: str) -> list[Path]:
        """The files that together are the mask of an image; none where there is none. Raises UserError for several of
        which any could be it."""
        paths = self.by_stem.pop(f"{stem}_mask", None) or self.by_stem.pop(stem, [])
        if len(paths) > 1:
            raise UserError(
                f"two masks of one image: {', '.join(path.name for path in paths)}",
                where=str(paths[0].parent),
                fix="leave one of them there",
            )
        if not paths or not paths[0].is_dir():
            return paths
        return sorted(path for path in paths[0].iterdir() if path.suffix.lower() in SUFFIXES)
