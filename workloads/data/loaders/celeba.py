"""CelebA: the aligned images with their official partition, or ready-made ``celeb_<i>.png``.

The paper of the flows (Schirrmeister et al., 2006.10848) tests on 120,000 ready-made 32x32 images, whose making is not
described; they stand for themselves here and are all test images. From the aligned images the centre square is taken.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from workloads.data.images import Dataset
from workloads.data.reading.folder import Listed, as_dataset, decode_all
from workloads.data.reading.published_files import damaged, not_here, warn_if_changed
from workloads.errors import UserError

IMAGES, PARTITION = "img_align_celeba", "list_eval_partition.txt"
PARTITIONS = {"0": "train", "1": "valid", "2": "test"}
READY_MADE = re.compile(r"celeb_(\d+)\.png")
SPLITS = ("train", "test")


def celeba(data_dir: Path, side: int, splits: Iterable[str] = SPLITS) -> Dataset:
    """Faces as RGB uint8 (N, 3, side, side), 162,770 + 19,962 (the partition's ``valid`` is left out).

    splits: those that are read; the other stays empty. Ids are paths of the files. Looked for in ``celeba/``.
    Raises UserError where neither form is there, UserError for a damaged partition and as
    `folder.decode_all` does.
    """
    root = data_dir / "celeba"
    if (root / IMAGES).is_dir() and (root / PARTITION).is_file():
        warn_if_changed("celeba", root / PARTITION)
        partition = read_partition(root / PARTITION)
        listing = [Listed(split, "face", root.resolve() / IMAGES / name) for name, split in partition.items()]
    else:
        listing = [Listed("test", "face", file) for file in _ready_made(root)]
    if not listing:
        lacking = f"{root} lacks {IMAGES} with {PARTITION}, and celeb_<i>.png"
        raise not_here("celeba", (root,), [lacking] if root.is_dir() else [])
    listing = [item for item in listing if item.split in splits]
    if not listing:
        fix = "use img_align_celeba with its partition"
        raise UserError(f"no image of {' or '.join(splits)}", where=str(root), fix=fix)
    return as_dataset("celeba", ("face",), *decode_all(listing, ("face",), root.resolve(), side))


def read_partition(path: Path) -> dict[str, str]:
    """File name -> ``train``, ``valid`` or ``test``. Raises UserError where a line is no name and 0, 1 or 2."""
    splits = {}
    for number, line in enumerate(path.read_text(errors="backslashreplace").splitlines(), 1):
        name, _, part = line.strip().rpartition(" ")
        if part not in PARTITIONS or Path(name.strip()).name != name.strip() or not name.strip():
            raise damaged(f"line {number} is {line[:80]!r}, expected a file name and 0, 1 or 2", path)
        splits[name.strip()] = PARTITIONS[part]
    return splits


def _ready_made(root: Path) -> list[Path]:
    """``celeb_<i>.png`` in the order of their numbers."""
    if not root.is_dir():
        return []
    matches = {file: READY_MADE.fullmatch(file.name) for file in root.resolve().iterdir()}
    numbers = {file: int(match[1]) for file, match in matches.items() if match}
    return sorted(numbers, key=lambda file: numbers[file])
