"""What a launch would make of a user's folder: what it uses and what not, and what it would refuse."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from workloads.data.catalogue import default_fit
from workloads.data.images import Dataset, LabelledImages
from workloads.data.loaders.user_folder import read_folder
from workloads.data.reading.account import Account, FolderRules
from workloads.data.reading.decode import BROKEN, FORMATS
from workloads.data.reading.folder import Listed
from workloads.data.reading.survey import survey
from workloads.errors import UserError


@dataclass(frozen=True)
class FolderCheck:
    """Everything that `data check` shows.

    classes: class -> split -> images used; empty where a launch would refuse the folder, for the reason in `problem`.
    sizes, modes: how many images are "WIDTHxHEIGHT" and of each of Pillow's modes, the most frequent first. masked:
    test images with a mask that marks something, None where there are no masks. remarks: what else a launch would say.
    """

    folder: str
    account: Account
    sizes: dict[str, int]
    modes: dict[str, int]
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    masked: int | None = None
    remarks: tuple[str, ...] = ()
    problem: str = ""


def check_folder(folder: Path, rules: FolderRules, side: int) -> FolderCheck:
    """Read a folder as a launch with windows of `side` pixels would, which says nothing of `fit`. Raises UserError
    where it is not there."""
    listed = survey(folder, rules)
    sizes, modes = _headers(listed.items)
    checked = FolderCheck(str(listed.root), listed.account(), sizes, modes)
    try:
        dataset = read_folder(folder, side=side, fit=default_fit("folder"), rules=rules)
    except UserError as error:
        return replace(checked, problem=str(error))
    account, remarks = dataset.account or checked.account, dataset.remarks
    checked = replace(checked, account=account, classes=_counts(dataset), remarks=remarks)
    if dataset.masks is None:
        return checked
    marked = np.flatnonzero((dataset.masks == 1).any(axis=(1, 2)))
    return replace(checked, masked=len({dataset.test.ids[row] for row in marked}))


def _headers(items: Iterable[Listed]) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes and modes as the files' headers say; of files that cannot be opened nothing."""
    sizes: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    for item in items:
        try:
            with Image.open(item.file, formats=FORMATS) as image:
                sizes[f"{image.width}x{image.height}"] += 1
                modes[image.mode] += 1
        except BROKEN:
            continue
    return dict(sizes.most_common()), dict(modes.most_common())


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    parts: dict[str, LabelledImages | None] = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    counts: dict[str, dict[str, int]] = {name: {} for name in dataset.classes}
    for split, part in parts.items():
        if part is not None:
            for label, count in Counter(part.labels[part.first_windows].tolist()).items():
                counts[dataset.classes[label]][split] = count
    return counts
