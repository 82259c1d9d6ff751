"""What the papers say, as data: their tables, and how each method is trained. Read from text, never measured here.

A table lies beside this file, so that a report can stand beside it. Of the training stands here what is stated and what
is left open: who may call a number the paper's. It is read, of Dai et al. (MLSAD), from the text without its stripped
numbers, of Schirrmeister et al. (flows) from the authors' training script, of KLODS from the abstract. A key is in one
of four places: `STATED` has the values that are the paper's; `GRIDS` those that it searches without saying which it
took; `OPEN` says what it leaves open, and our reading of it is the default of the config; `IDLE` are keys that do not
touch the method's numbers.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from tune_spaces.schema import Auxiliary, Data, Space
from workloads.flows.config import NO_FLIP
from workloads.keys import ROLES_OF_TRIALS, keys_of
from workloads.mlsad.config import SHORTER

Values = Mapping[str, tuple[Any, ...]]

STATED: Mapping[str, Values] = {
    "mlsad": {
        "batch_size": (8,),
        "width": (1.0,),
        "generator_epochs": (300.0,),
        "generator_batch_size": (32,),
        "generator_steps": (0,),
        "detector_epochs": (250.0,),
        "detector_steps": (0,),
        "detector_milestones": ((0.4, 0.8),),
        "grey_as_rgb": (True,),
        "levels": ((1, 2, 4, 8, 16),),
        "position": ("in_range",),
        "lambda_entropy": (1.0,),
        "minibatch_stddev": ("global",),
        "generator_spectral_norm": (True,),
        "generator_batch_norm": (True,),
        "pooling": ("mean",),
    },
    "flow": {
        "kind": ("glow", "patch", "dense"),
        "scales": (3,),
        "steps": (32,),
        "hidden": (512,),
        "permutation": ("lu",),
        "coupling": ("affine",),
        "patch": (8,),
        "hierarchy": ("general", "none"),
        "from_general": (True,),
        "outlier_loss": ("none", "ratio", "margin"),
        "outlier_weight": (6000.0,),
        "outlier_temperature": (1000.0,),
        "supervised": (False, True),
        "score": ("ratio", "likelihood", "final_scale", "general_likelihood", "complexity", "complexity_only"),
        "complexity_codec": ("png",),
        "epochs": (250.0,),
        "batch_size": (64,),
        "general_batch_size": (64,),
        "lr": (5e-4,),
        "general_lr": (5e-4,),
        "weight_decay": (5e-5,),
        "warmup_steps": (0,),
        "init_batches": (11,),
        "translate": (0.1,),
        "flip": (True,),
        "general_flip": (True,),
        "precision": ("fp32",),
    },
    "klods": {"judged_size": (5,), "contamination": (1.0,), "directions": (50,)},
    "patch_memory": {
        "pooling": (3,),
        "smoothing": (4.0,),
        "dims": (100, 550),
    },
}
"""Workload -> key -> the paper's values."""

GRIDS: Mapping[str, Values] = {
    "mlsad": {
        "weight_decay": (1e-3, 5e-4, 1e-4, 5e-5),
        "noise": (0.0, 0.05, 0.1),
        "lambda_structure": (0.4, 0.6, 1.0),
        "lambda_position": (0.4, 0.6, 1.0, 0.0),  # 0: the ablation of its Table 3
        "blocks": (1, 2),
    }
}

BY_DATASET: Mapping[str, Mapping[str, Values]] = {
    "mlsad": {name: {key: (SHORTER[key],) for key in SHORTER} for name in ("mnist", "mvtec_textures")},
    "flow": {
        name: {key: (NO_FLIP[key],) for key in NO_FLIP}
        for name in ("svhn", "mnist", "fashion_mnist", *(f"brats_{scan}" for scan in ("t1", "t1ce", "t2", "flair")))
    },
}
"""The same where a dataset has values of its own."""

OPEN: Mapping[str, Mapping[str, str]] = {
    "mlsad": {
        "bank_size": "how many fakes are kept is not stated",
        "detector_lr": "the number is lost; nor are Adam's betas stated",
        "detector_lr_decay": "stated for MNIST and the textures alone",
        "dropout": "that there is some is stated, its rate is not",
        "shuffle_pool": "level 1 from the whole training set; the text shuffles along the batch, of unknown size here",
        "generator_lr": "the number is lost",
        "discriminator_lr": "the number is lost",
        "statistics_lr": "the number is lost",
        "adam_betas": "the numbers are lost",
        "mutual_information": "the estimator of Eq. 1 is not stated",
        "clip_wrt": "by what the gradients of Eq. 8 are taken is lost",
        "generator_ema": "an average of the generator's weights is not stated",
        "crop": "the side of the textures' crops is lost",
        "precision": "not stated; float32 was torch's default then",
        "seed": "not stated",
    },
    "flow": {
        "general_epochs": "the script's default for every set; what the paper took is not known",
        "seed": "the script's is another one",
    },
    "klods": dict.fromkeys(
        (
            *("kind", "scales", "steps", "hidden", "permutation", "coupling", "patch", "score", "epochs", "batch_size"),
            *("lr", "weight_decay", "warmup_steps", "init_batches", "translate", "flip", "precision", "seed"),
            *("split", "level", "weighting", "regulariser", "shrinkage", "group_sizes", "shift", "group_seed"),
            *("group_score", "complexity_codec", "hierarchy", "from_general"),
        ),
        "not in the text that could be read",
    ),
    "patch_memory": {
        "model": "three methods in one: PatchCore's neighbours, PaDiM's Gaussian a place, and one Gaussian of all",
        "features": "the published rows are of wide_resnet50_2; other networks are a choice",
        "checkpoint": "no paper has other weights than ImageNet's",
        "layers": "the published ones are layer2 and layer3 of a ResNet",
        "least_side": "the papers resize to 256 and crop 224; images are of the space's side, small ones enlarged",
        "memory": "PatchCore keeps 1 to 25 % of all patches, a number that grows with the images",
        "candidates": "PatchCore's coreset is chosen among all patches",
        "projection": "PatchCore projects to as many dimensions as Johnson and Lindenstrauss' bound asks for",
        "neighbours": "PatchCore takes the nearest for the map",
        "whitened": "PatchCore's distances are Euclidean in the features as they are",
        "standardised": "both papers take distances as they are, whatever is usual at their place",
        "shrinkage": "PaDiM adds .01 to all variances; a share of their mean is added here",
        "image_score": "PatchCore reweights the maximum",
        "seed": "not stated",
    },
}
"""Workload -> key -> what the paper leaves open."""

IDLE: Mapping[str, tuple[str, ...]] = {
    "klods": (
        *("general_epochs", "general_batch_size", "general_lr", "general_flip"),
        *("outlier_loss", "outlier_weight", "outlier_temperature", "supervised"),
    )
}

NOT_KEYS: Mapping[str, tuple[str, ...]] = {
    "mlsad": (
        "trunks and heads of the detectors, D_1 and D_16 wholly, and their coordinates at the windows' centres",
        "Adam's betas of the detectors, (0.9, 0.999)",
        "which five levels: read off Table 4; layers of the statistics network; the law of z, normal",
        "weight 1 of the normal images' term in Eq. 3; the generator's loss, non-saturating",
        "a tenth of a class's training images is held out, by a seed",
    ),
    "flow": (
        "auxiliary images that are tested are left out but with `auxiliary_copies` 'keep'; the main results kept them",
        "training images are held out (`val_fraction`); the script trains on all of them",
        "LSUN and CelebA are cut and then resized, the authors resized first; of CelebA 19,962 are tested, not 120,000",
        "convolutions of training are torch's default on a GPU, TF32; the authors' are fp32. Scores are fp32",
        "input complexity by Pillow's PNG, the script's is OpenCV's",
    ),
    "klods": ("the estimator itself: a documented derivation",),
}
"""Choices of ours that no key names, or ways in which the code differs whatever the config."""

DATASETS: Mapping[str, tuple[str, ...]] = {
    "mlsad": ("cifar10", "mnist", "imagenet10", "mvtec_textures"),
    "flow": (
        *("cifar10", "cifar100", "svhn", "lsun", "celeba", "tiny_imagenet", "mnist", "fashion_mnist"),
        *("brats_t1", "brats_t1ce", "brats_t2", "brats_flair"),
    ),
}
"""Workload -> the datasets that its paper trains on. A workload that is not in it has no known schedule."""
PROTOCOLS = {"mlsad": "one_class", "flow": "in_out"}
SHOWN = 3
"""Causes that stand beside a label; the report lists all."""
FREE = ("seed",)
"""Keys that may have any value."""


def names() -> tuple[str, ...]:
    """The tables there are, sorted."""
    entries = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def load(name: str) -> "PublishedTable | None":
    """The table of that name, None if none is kept. Raises ValueError if the file contradicts itself."""
    if name not in names():
        return None
    raw: dict[str, Any] = tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
    rows = tuple(
        PublishedRow(row["name"], row["group"], tuple(map(_known, row["values"])), row.get("mean"))
        for row in raw["rows"]
    )
    likely = tuple(raw["likely_columns"]) if "likely_columns" in raw else None
    return PublishedTable(name, raw["source"], raw["note"], tuple(raw["columns"]), rows, likely)


def tables_of(dataset: str) -> dict[str, "PublishedTable"]:
    """All tables of a dataset, by their names: DATASET by class, and DATASET_ood, DATASET_in_out, DATASET_groups."""
    of_it = [name for name in names() if name == dataset or name.startswith(f"{dataset}_")]
    return {name: table for name in of_it if (table := load(name)) is not None}


def _known(value: float) -> float | None:
    """TOML has no null: nan stands for a value that we have not."""
    return None if math.isnan(value) else value


@dataclass(frozen=True)
class PublishedRow:
    """One method: AUROC in [0, 1] per column, and the mean as printed, which need not be the mean of the values.

    A value that could not be read is None. group: what sets the row apart from others. ``limited by image type`` (the
    method needs images with an upright position and the like) or ``not limited``; in tables ``DATASET_groups``, whose
    rows are a score and a group size, the flow, and whether the number is a third party's.
    """

    name: str
    group: str
    values: tuple[float | None, ...]
    mean: float | None


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper: where it stands (`source`) and what is uncertain about our copy (`note`).

    likely_columns: our guess at the class names where the paper only numbers the columns; else None.
    """

    name: str
    source: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    likely_columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.likely_columns is not None and len(self.likely_columns) != len(self.columns):
            raise ValueError(f"{self.name}: {len(self.likely_columns)} likely names for {len(self.columns)} columns")
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(f"{self.name}, {row.name}: {len(row.values)} values for {len(self.columns)} columns")
            if not all(0 <= value <= 1 for value in row.values if value is not None):
                raise ValueError(f"{self.name}, {row.name}: an AUROC lies in [0, 1]")


def paper_values(workload: str, dataset: str, config: Any) -> dict[str, tuple[Any, ...]]:
    """Key -> the values that are the paper's, for a dataset and a config's variant of the method."""
    values = {**STATED.get(workload, {}), **GRIDS.get(workload, {}), **BY_DATASET.get(workload, {}).get(dataset, {})}
    if workload == "flow":
        values["from_general"] = (config.hierarchy == "general",)
        values["steps"] = (8,) if config.kind == "dense" else values["steps"]
    return values


def differences(space: Space, config: Any) -> list[str]:
    """Why the training of a config is not its paper's, a line a cause; empty where it is as far as the paper says.

    Keys that the paper leaves open count, too: another value than our reading is nobody's published schedule.
    """
    data, workload = space.data, space.workload
    if workload not in DATASETS:
        return [f"{workload}: the schedule of its paper is not known"]
    lines = [] if data.name in DATASETS[workload] else [f"the paper does not train on {data.name}"]
    if data.protocol != PROTOCOLS[workload]:
        lines.append(f"the paper's protocol is {PROTOCOLS[workload]}, not {data.protocol}")
    if data.side != 32 and data.name != "mvtec_textures":
        lines.append(f"images of {data.side} x {data.side} pixels (the paper: 32 x 32)")
    if data.max_train_images is not None:
        lines.append(f"at most {data.max_train_images} training images (the paper: all)")
    if data.name.startswith("brats"):
        lines.append("every slice has one cut and is shifted (the paper: a new random cut each time, no shift)")
    lines += data_differences("", data, type(data), "val_fraction")
    for source in data.auxiliary:
        where = f"auxiliary images of {source.name}: "
        lines += data_differences(where, source, type(source), "max_images", "val_fraction", "seed")
    sources = [source.name for source in data.auxiliary]
    if workload == "flow" and config.hierarchy == "general" and sources != ["tiny_images"]:
        lines.append(f"auxiliary images of {', '.join(sources)} (the paper: its choice of 80 Million Tiny Images)")
    stated, plain = paper_values(workload, data.name, config), type(config)()
    for key in keys_of(config, *ROLES_OF_TRIALS):
        value = getattr(config, key)
        if key in stated and value not in stated[key]:
            lines.append(f"{key} is {value} (the paper: {' or '.join(map(str, stated[key]))})")
        elif key not in stated and key not in FREE and value != getattr(plain, key):
            lines.append(f"{key} is {value} (the paper leaves it open, our reading is {getattr(plain, key)})")
    return lines


def data_differences(
    where: str, part: Data | Auxiliary, kind: type[Data] | type[Auxiliary], *keys: str
) -> Iterator[str]:
    """What differs from the defaults of a space's data, which are our reading of the papers or what they state."""
    for key in keys:
        value, plain = getattr(part, key), kind.model_fields[key].default
        if value != plain:
            yield f"{where}{key} is {value} (our reading of the paper is {'all' if plain is None else plain})"


def our_choices(workload: str, config: Any) -> list[str]:
    """What the paper does not state and somebody had to choose, a line a choice."""
    searched = dict.fromkeys(GRIDS.get(workload, {}), "the grid is stated, the final value is not")
    left_open, names = {**searched, **OPEN.get(workload, {})}, [item.name for item in fields(config)]
    keys = [f"`{key}` = {getattr(config, key)}: {left_open[key]}" for key in names if key in left_open]
    return [*keys, *NOT_KEYS.get(workload, ())]


@dataclass(frozen=True)
class Schedule:
    """How a config was trained: the label of its numbers, why it is not the paper's, and what the paper leaves open."""

    label: str
    unlike_paper: tuple[str, ...]
    our_choices: tuple[str, ...]

    @property
    def text(self) -> str:
        """The label and the first causes, in a line."""
        if self.label == "paper":
            return "the paper's, as far as it is stated"
        more = len(self.unlike_paper) - SHOWN
        rest = [f"and {more} more, see Schedule"] if more > 0 else []
        return f"{self.label}, not the paper's: {'; '.join([*self.unlike_paper[:SHOWN], *rest])}"


def schedule_of(space: Space, config: Any, label: str) -> Schedule:
    """Of one config of a space. label: the launch's, which says that some point of the space keeps the paper's."""
    unlike = tuple(differences(space, config))
    label = "custom" if label == "paper" and unlike else label
    return Schedule(label, unlike, tuple(our_choices(space.workload, config)))
