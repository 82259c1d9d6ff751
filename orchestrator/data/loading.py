"""From a space's `data` to images: read, split by the protocol, with out sets and an auxiliary set beside them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.data.auxiliary.streamed import auxiliary_set
from tune_spaces.schema import Auxiliary, Data
from workloads.data.auxiliary import Source, auxiliary_images
from workloads.data.datasets import load
from workloads.data.in_out import in_out
from workloads.data.out_sets import out_sets
from workloads.data.protocols import one_class
from workloads.data.splits import Splits
from workloads.errors import UserError


def load_splits(data: Data, data_dir: Path, download: bool = True) -> Splits:
    """The images that a space asks for; a prepared auxiliary set is named in them and stays where it is.

    Raises UserError for what cannot be had or used, before anything else has begun.
    """
    path = Path(data.path).expanduser() if data.path else None
    reading: dict[str, Any] = {"rules": data.rules, "fit": data.fit, "white_level": data.white_level}
    dataset = load(data.name, data_dir, path=path, side=data.side, seed=data.seed, download=download, **reading)
    amounts: dict[str, Any] = {
        "side": data.side,
        "val_fraction": data.val_fraction,
        "calibration_fraction": data.calibration_fraction or 0.0,
        "max_train_images": data.max_train_images,
    }
    if data.protocol == "in_out":
        splits = in_out(dataset, **amounts, seed=data.seed)
    else:
        splits = one_class(dataset, **amounts, classes=data.classes, seed=data.seed)
    form: dict[str, Any] = {"shape": splits.shape, "download": download}
    out = out_sets(data.out, data_dir, **form, max_images=data.max_out_images, seed=data.seed)
    facts: dict[str, Any] = {"white_level": dataset.white_level, "notes": dataset.remarks, "region": dataset.region}
    splits = replace(splits, out=out, account=dataset.account, **facts)
    if source := streamed_source(data):
        return replace(splits, streamed=auxiliary_set(source, data, data_dir))
    if not data.auxiliary:
        return splits
    sources = [Source(**source.model_dump()) for source in data.auxiliary]
    # What is tested, and not what is learnt: datasets that stand against each other then share one general model.
    tested = [splits.test.images, *(part.images for part in out.values())]
    if data.auxiliary_copies == "keep":
        tested, kept = [], "auxiliary images that are tested, too, were not looked for (`auxiliary_copies`)"
        splits = replace(splits, notes=(*splits.notes, kept))
    return replace(splits, auxiliary=auxiliary_images(sources, data_dir, known=tested, **form))


def streamed_source(data: Data) -> Auxiliary | None:
    """The prepared auxiliary set that a space names. Raises UserError where it names others beside it."""
    prepared = [source for source in data.auxiliary if source.name == "prepared"]
    if prepared and len(data.auxiliary) > 1:
        raise UserError(
            "a prepared auxiliary set is streamed alone",
            where="data.auxiliary",
            fix="name it alone, or prepare all the images as one set",
        )
    return prepared[0] if prepared else None
