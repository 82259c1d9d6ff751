"""What is known of each dataset without opening it. No torch or numpy here: the CLI lists this in a moment."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal

from workloads.errors import UserError, closest


def entry(name: str) -> "Entry":
    """The facts of the dataset `name`. Raises UserError, with the nearest name, where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise UserError(
        f"there is no dataset {name!r}",
        where="dataset",
        nearest=closest(name, CATALOGUE),
        fix=f"use one of {', '.join(CATALOGUE)}",
    )


@dataclass(frozen=True)
class Entry:
    """A dataset's facts.

    classes: those that can be normal, in label order, safe as path pieces and metric names; None where the user's
    folders give them; one alone where the images have no classes to tell apart. A dataset may have further labels that
    are only ever anomalies.
    channels: 1 grey, 3 RGB.
    train_images, test_images: of all classes together, as published; 0 where unknown.
    download: whether `load` may fetch it from the internet.
    checksums: file name -> MD5 (32 hex digits), of archives and files as published; empty where none are.
    """

    name: str
    title: str
    channels: int
    licence: str
    how_to_get: str
    classes: tuple[str, ...] | None = None
    train_images: int = 0
    test_images: int = 0
    download: bool = False
    checksums: Mapping[str, str] = field(default_factory=dict)
    out_only: bool = False  # no training images here: it can only stand against others
    folders: tuple[str, ...] = ()  # of the classes, in their order, where they have another name

    @property
    def train_per_class(self) -> int:
        """Training images of a typical class; 0 where unknown."""
        return round(self.train_images / len(self.classes)) if self.classes else 0


def out_set_names(name: str) -> tuple[str, ...]:
    """What can stand against the dataset `name` as out of distribution: all other datasets but a user's, and noise."""
    return (*(other for other in CATALOGUE if other not in (name, "folder")), NOISE)


def auxiliary_names() -> tuple[str, ...]:
    """What auxiliary images can come from: the `SOURCES`, and the training images of any dataset that has some."""
    return (*SOURCES, *(name for name, item in CATALOGUE.items() if name != "folder" and not item.out_only))


@dataclass(frozen=True)
class SourceEntry:
    """A source of auxiliary images that is no dataset. Licence and origin as in `Entry`.

    place: file or folder in the data folder where no path is given; empty where there is nothing to read.
    images: what it gives where no number is asked for; 0 where that depends on the user's files.
    """

    title: str
    licence: str
    how_to_get: str
    place: str = ""
    images: int = 0


NOISE = "noise"  # an out set that no file holds
Fit = Literal["crop", "squeeze", "pad", "tiles"]
"""How an image file of any shape is brought to windows of one shape, see `workloads.data.windows.Form`."""

FITTED = ("folder", "mvtec", "mvtec_textures")
"""Datasets of image files whose fit can be chosen; the others are read as their papers did."""


def default_fit(name: str) -> Fit:
    """What the dataset `name` is read by where a space does not say: published datasets keep what their numbers were
    measured with; of the user's own images nothing is lost."""
    return "tiles" if name == "folder" else "crop"


def _read() -> tuple[dict[str, Entry], dict[str, SourceEntry]]:
    """The datasets and sources of catalogue.toml, in its order. BraTS stands there once for all of its modalities."""
    raw = tomllib.loads((files(__package__) / "catalogue.toml").read_text(encoding="utf-8"))
    datasets = {}
    for name, facts in raw["datasets"].items():
        modalities = facts.pop("modalities", ())
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
        }
        datasets[name] = Entry(name, **plain)
        for modality in modalities:
            title = datasets[name].title.replace("all modalities", modality)
            datasets[f"{name}_{modality}"] = replace(datasets[name], name=f"{name}_{modality}", title=title)
    return datasets, {name: SourceEntry(**facts) for name, facts in raw["sources"].items()}


CATALOGUE, SOURCES = _read()
