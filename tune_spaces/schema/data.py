"""What a space says of its images: which they are, and how they are split."""

import re
from collections.abc import Iterator, Sized
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tune_spaces.schema.part import Part, known, refuse
from workloads.data.catalogue import CATALOGUE, FITTED, SOURCES, Fit, auxiliary_names, out_set_names
from workloads.data.reading.account import Copies, FolderRules
from workloads.errors import Problem, nearest

MOST_NAMES = 10_000
"""Of classes, out sets and the like. More is a slip of the hand."""


def known_source(name: str) -> str:
    if name in CATALOGUE and CATALOGUE[name].out_only:
        raise ValueError("has no training images here")
    if name not in auxiliary_names():
        raise ValueError(f"no such auxiliary set; {nearest(name, auxiliary_names())}")
    return name


class Auxiliary(Part):
    """One source of auxiliary images: natural ones of any kind, for methods that compare with a general model."""

    name: Annotated[str, AfterValidator(known_source)]
    path: str | None = Field(default=None, description="of 'folder', 'arrays', 'tiny_images'; else in the data folder")
    max_images: int | None = Field(default=None, ge=4, description="validation included; all where absent")
    val_fraction: float = Field(default=0.2, gt=0, lt=1, description="held out; 0.2 is the paper's 80/20")
    seed: int = Field(default=0, description="of the choice and the split")

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if self.path is not None and (self.name not in SOURCES or not SOURCES[self.name].place):
            refuse([Problem("path", f"{self.name!r} takes no path")])
        return self


class Data(Part):
    """Which images, and how they are split.

    protocol: in `one_class` every class in `classes` takes its turn as the normal one, and the others are its
    anomalies; in `in_out` the whole dataset is normal, and the out sets are its anomalies.
    """

    name: Annotated[str, known("dataset", CATALOGUE)]
    path: str | None = Field(default=None, description="the images' folder, for the dataset 'folder'")
    protocol: Literal["one_class", "in_out"] = "one_class"
    side: int = Field(default=32, ge=8, le=1024, description="pixels; windows are side x side")
    fit: Fit | None = Field(
        default=None,
        description="how image files become windows: 'crop' takes the middle, 'squeeze' and 'pad' the whole image, "
        "'tiles' windows at its own resolution; absent: 'tiles' for 'folder', 'crop' for published datasets",
    )
    white_level: int | None = Field(
        default=None, ge=1, le=65535, description="of images of more than 8 bits; from the training images where absent"
    )
    classes: tuple[str, ...] | None = Field(default=None, description="normal classes; all where absent")
    max_train_images: int | None = Field(default=None, ge=4, description="a target, validation included")
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="of the normal training images, held out")
    calibration_fraction: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="of the normal training images, set apart for thresholds; absent: 0, and 0.2 of an own folder for "
        "a method that does not fit in one go",
    )
    out: tuple[str, ...] = Field(default=(), description="out-of-distribution sets: other datasets, or noise")
    max_out_images: int | None = Field(default=None, ge=1, description="of each out set; all where absent")
    auxiliary: tuple[Auxiliary, ...] = Field(default=(), description="sources of auxiliary images, together one set")
    auxiliary_copies: Copies = Field(
        default="leave_out", description="of tested images in auxiliary sets; the flows' authors kept them in"
    )
    seed: int = Field(default=0, description="of the splits and of noise; a run's own seed does not touch it")
    ignore: tuple[str, ...] = Field(default=(), description="of 'folder': patterns of files and folders to pass over")
    names: dict[str, str] = Field(default_factory=dict, description="of 'folder': class folder -> name of the class")
    group: str | None = Field(
        default=None,
        description="of 'folder': pattern in file names; images that agree in it stay on one side of a split",
    )
    copies: Copies = Field(default="leave_out", description="of 'folder': test images that are copies of others")

    @field_validator("classes", "out", "auxiliary", "ignore", mode="before")
    @classmethod
    def bounded(cls, value: Any) -> Any:
        """Refuses what is too long before anything is made of it."""
        if isinstance(value, Sized) and len(value) > MOST_NAMES:
            raise ValueError(f"has more than {MOST_NAMES:,} entries")
        return value

    @model_validator(mode="after")
    def consistent(self) -> Self:
        refuse([*self.folder_problems(), *self.name_problems(), *self.protocol_problems(), *self.auxiliary_problems()])
        return self

    @property
    def rules(self) -> FolderRules:
        """How a user's folder is read."""
        return FolderRules(self.ignore, self.names, self.copies, self.group)

    def folder_problems(self) -> Iterator[Problem]:
        if self.name == "folder" and self.path is None:
            yield Problem("path", "the dataset 'folder' needs the path of a folder of class folders")
        if self.name != "folder" and self.path is not None:
            yield Problem("path", f"only the dataset 'folder' takes a path, not {self.name!r}")
        if self.fit not in (None, "crop") and self.name not in FITTED:
            yield Problem("fit", f"is for {', '.join(FITTED)}; {self.name!r} is read as its paper did")
        try:
            re.compile(self.group or "")
        except re.error as error:
            yield Problem("group", f"{self.group!r} is no regular expression: {error}")
        changed = {"copies": self.copies != "leave_out"}
        for key in ("ignore", "names", "group", "copies", "white_level"):
            if self.name != "folder" and changed.get(key, getattr(self, key)):
                yield Problem(key, f"is for the dataset 'folder', not for {self.name!r}")
        if self.val_fraction + (self.calibration_fraction or 0) >= 1:
            yield Problem(
                "calibration_fraction", "with val_fraction it must leave images to learn from: below 1 together"
            )

    def name_problems(self) -> Iterator[Problem]:
        classes, others = CATALOGUE[self.name].classes, out_set_names(self.name)
        if len(set(self.classes or ())) < len(self.classes or ()):
            yield Problem("classes", "names a class twice")
        for name in self.classes or ():
            if classes is not None and name not in classes:
                yield Problem("classes", f"{name!r} is no class of {self.name}; {nearest(name, classes)}")
        for name in self.out:
            if name not in others:
                yield Problem("out", f"{name!r} cannot be an out set of {self.name}; {nearest(name, others)}")
        if len(set(self.out)) < len(self.out):
            yield Problem("out", "names a set twice")

    def protocol_problems(self) -> Iterator[Problem]:
        entry = CATALOGUE[self.name]
        if entry.out_only:
            yield Problem("name", f"{self.name!r} has no training images here: it can only be an out set")
        elif self.protocol == "one_class" and entry.classes is not None and len(entry.classes) == 1:
            yield Problem("protocol", f"{self.name!r} has no classes to tell apart; use 'in_out' with an out set")
        if self.protocol == "in_out" and not self.out:
            yield Problem("out", "the protocol 'in_out' needs an out set: no other image is anomalous")
        if self.protocol == "in_out" and self.classes is not None:
            yield Problem("classes", "the protocol 'in_out' learns the whole dataset; leave the classes out")

    def auxiliary_problems(self) -> Iterator[Problem]:
        named = [(source.name, source.path) for source in self.auxiliary]
        if len(set(named)) < len(named):
            yield Problem("auxiliary", "names a source twice")
        for number, source in enumerate(self.auxiliary):
            if source.name == self.name and source.name not in SOURCES:
                yield Problem(f"auxiliary.{number}.name", f"{self.name!r} is the dataset itself")
            if source.name in self.out:
                message = f"{source.name!r} is an out set, which nothing may learn from"
                yield Problem(f"auxiliary.{number}.name", message)
