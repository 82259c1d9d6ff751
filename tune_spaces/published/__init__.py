"""The papers' tables as data, so that a report can stand beside them. Read from text, never measured here."""

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


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
