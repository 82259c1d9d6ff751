"""Omniglot's drawings: the background set is train, the evaluation set test, in the published folders."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from workloads.data.catalogue import entry
from workloads.data.images import Dataset
from workloads.data.reading.folder import Listed, decode_all, images_under
from workloads.errors import data_missing

FOLDERS = ("omniglot-py", "omniglot")
SETS = {"train": "images_background", "test": "images_evaluation"}
CHARACTER = "character"


def omniglot(data_dir: Path, side: int) -> Dataset:
    """Grey uint8 (N, 1, side, side), black strokes on white as published, 19,280 + 13,180; ids are paths of the files.

    One class, for the two sets share no alphabet. Raises UserError where no place has both sets, UserError
    as `folder.decode_all` does.
    """
    places = tuple(data_dir / name for name in FOLDERS)
    reasons: list[str] = []
    for place in (place for place in places if place.is_dir()):
        root = place.resolve()
        listing = {split: images_under(root / folder) for split, folder in SETS.items()}
        missing = [SETS[split] for split, files in listing.items() if not files]
        if missing:
            reasons.append(f"{place} lacks {', '.join(missing)}")
            continue
        listed = [Listed(split, CHARACTER, file) for split, files in listing.items() for file in files]
        whole, kept = decode_all(listed, (CHARACTER,), root, side)
        grey = replace(whole, images=np.ascontiguousarray(whole.images[:, :1]))  # decoded as RGB, three times the same
        tested = np.asarray([item.split == "test" for item in kept])
        return Dataset("omniglot", (CHARACTER,), grey.take(~tested), grey.take(tested))
    raise data_missing("omniglot", places, entry("omniglot").how_to_get, reasons)
