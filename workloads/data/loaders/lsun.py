"""LSUN's ten scene categories, their validation images alone: from the published LMDBs, or exported to folders.

Schirrmeister et al. (2006.10848) hold CIFAR and SVHN against them, their short side resized to 32 pixels and the centre
cut out. The million training images a category are not read.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.data.catalogue import entry
from workloads.data.images import Dataset, LabelledImages
from workloads.data.reading.decode import UnreadableError, decode
from workloads.data.reading.facts import LSUN
from workloads.data.reading.folder import check_file, images_under, report_unreadable
from workloads.data.reading.published_files import REFETCH
from workloads.errors import UserError, data_missing

Named = tuple[str, Path | BytesIO]


def lsun(data_dir: Path, side: int) -> Dataset:
    """300 images of each category as RGB uint8 (N, 3, side, side), all in test; ids are ``lsun/<category>/<key>``.

    ``lsun/<category>_val_lmdb`` (a database of JPEG or WebP files by key) or ``lsun/val/<category>`` with the same
    files, at any depth. Raises UserError where a category is not there or a database needs the package lmdb,
    UserError for a damaged database and where more than one image and more than 5 % cannot be read.
    """
    root = data_dir / "lsun"
    missing = [category for category in LSUN if not any(place.is_dir() for place in _places(root, category))]
    reasons = [f"{root} lacks {', '.join(missing)}"] if missing and root.is_dir() else []
    if missing:
        raise data_missing("lsun", (root,), entry("lsun").how_to_get, reasons)
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    ids: list[str] = []
    bad: list[str] = []
    for label, category in enumerate(LSUN):
        for key, source in _files(root.resolve(), category):
            name = f"lsun/{category}/{key}"
            try:
                if isinstance(source, Path):
                    check_file(source, root.resolve())
                images.append(decode(source, side))
                labels.append(label)
                ids.append(name)
            except UnreadableError as error:
                bad.append(f"{name} ({error})")
    report_unreadable(bad, len(images) + len(bad), root)
    test = LabelledImages(np.stack(images), np.asarray(labels, dtype=np.int64), tuple(ids))
    return Dataset("lsun", LSUN, test.take(np.arange(0)), test)


def _places(root: Path, category: str) -> tuple[Path, Path]:
    return root / f"{category}_val_lmdb", root / "val" / category


def _files(root: Path, category: str) -> Iterator[Named]:
    """(key, file or its bytes) of every image of a category, by key."""
    database, folder = _places(root, category)
    found = _records(database) if database.is_dir() else [(file.stem, file) for file in images_under(folder)]
    if not found:
        raise UserError(f"no images of {category!r}", where=str(root), fix=REFETCH)
    yield from sorted(found, key=lambda item: item[0])


def _records(database: Path) -> list[Named]:
    """The whole database: 300 images are about 10 MB. Read here, for torchvision's reader unpickles a cache file."""
    try:
        import lmdb  # only this dataset needs it
    except ImportError as error:
        reason = f"{database}, and the package lmdb is not installed"
        raise data_missing("lsun", (database,), entry("lsun").how_to_get, (reason,)) from error
    try:
        with lmdb.open(str(database), readonly=True, lock=False, max_readers=1) as opened, opened.begin() as records:
            return [(key.decode("utf-8", "backslashreplace"), BytesIO(value)) for key, value in records.cursor()]
    except lmdb.Error as error:
        raise UserError(f"not a whole LMDB database: {error}", where=str(database), fix=REFETCH) from error
