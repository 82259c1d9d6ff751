"""Group scores of anyone's latents, read from array files: the KLODS part of the project without its flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from workloads.errors import Problem, UserError, nearest, several
from workloads.klods import calibration
from workloads.klods.config import KlodsConfig, problems
from workloads.klods.files import LOG_PROB, Source
from workloads.klods.groups import form
from workloads.klods.latents import check_alike
from workloads.klods.scoring import PARTS, fit
from workloads.scoring.metrics import auroc, auroc_interval
from workloads.scoring.table import out_split, rows

TEST = "test"


@dataclass(frozen=True)
class Cell:
    """AUROC of one part at one group size against one out set, with its 95 % interval; None where undefined."""

    part: str
    size: int
    out: str
    area: float | None
    interval: tuple[float, float] | None
    counts: tuple[int, int]  # normal and anomalous groups


def configured(values: Mapping[str, Any]) -> KlodsConfig:
    """The keys that the command line gives. Raises UserError (exit 2) with every problem."""
    config = KlodsConfig(**values)
    if faults := [Problem(key, message) for key, message in problems(config)]:
        raise several(faults)
    return config


def score(
    train: Source, normal: Source, outs: Sequence[Source], config: KlodsConfig
) -> tuple[pa.Table, list[Cell], list[str]]:
    """Groups of the normal and of every out set, scored: the score table, AUROC by cell, and what to say about it.

    The table has the columns of `workloads.scoring.table.SCHEMA`: an image is a group, its id ``group-5/00017``, and a
    part is a score at a group size, ``klods_prior/5``. Raises UserError before any score is computed.
    """
    densities = [source.log_prob for source in (train, normal, *outs)]
    known_densities = [density for density in densities if density is not None]
    if known_densities and len(known_densities) < len(densities):
        raise UserError(f"{LOG_PROB} is in some of the files", fix="in all of them, or in none")
    for source in (normal, *outs):
        check_alike(source.levels, train.levels, source.name)
    fitted = fit(train.levels, config, train.log_prob, train.name)
    fitted.check(config.group_sizes)
    names = [source.name for source in outs]
    if len({*names, normal.name}) <= len(names):
        raise UserError(f"sets of equal names: {', '.join([normal.name, *names])}", fix="files of different names")
    plans = {
        (size, out.name): form(
            len(normal.levels[0]), len(out.levels[0]), size, config.group_seed, out.name, config.contamination
        )
        for size in config.group_sizes
        for out in outs
    }
    blocks: list[pa.Table] = []
    cells: list[Cell] = []
    unknown = f"no {LOG_PROB} in the files: likelihood and typicality are those of the latents' prior"
    remarks = [] if known_densities else [unknown]
    known: dict[int, dict[str, np.ndarray]] = {}
    for out in outs:
        both = [torch.cat(pair) for pair in zip(normal.levels, out.levels, strict=True)]
        density = torch.cat([normal.log_prob, out.log_prob]) if known_densities else None  # type: ignore[list-item]
        prepared = fitted.prepare(both, density, f"{normal.name} and {out.name}")
        for size in config.group_sizes:
            groups = plans[size, out.name]
            if size not in known:
                known[size] = dict(prepared.scores(groups.normal))
                blocks += _rows(normal.name, TEST, normal.name, size, False, known[size])
            scores = dict(prepared.scores(groups.anomalous))
            blocks += _rows(normal.name, out_split(out.name), out.name, size, True, scores)
            cells += [_cell(part, size, out.name, known[size][part], scores[part]) for part in PARTS]
            remarks.append(f"{out.name}: {groups.summary()}")
    return pa.concat_tables(blocks).unify_dictionaries(), cells, remarks


def _rows(
    target: str, split: str, label: str, size: int, anomalous: bool, scores: Mapping[str, np.ndarray]
) -> list[pa.Table]:
    tables = []
    for part, values in scores.items():
        ids = [f"group-{size}/{number:05d}" for number in range(len(values))]
        flags = np.full(len(values), anomalous)
        tables.append(rows(target, split, f"{part}/{size}", ids, [label] * len(values), flags, values))
    return tables


def _cell(part: str, size: int, out: str, normal: np.ndarray, anomalous: np.ndarray) -> Cell:
    values = np.concatenate([normal, anomalous])
    labels = np.repeat([False, True], [len(normal), len(anomalous)])
    return Cell(part, size, out, auroc(values, labels), auroc_interval(values, labels), (len(normal), len(anomalous)))


def select(
    train: Source, held_out: Source, out: Source | None, config: KlodsConfig, by: str
) -> tuple[list[calibration.Candidate], list[str], calibration.Candidate]:
    """Every candidate, what was not possible, and the one chosen `by` a criterion. Raises UserError."""
    if by not in calibration.CRITERIA:
        raise UserError(f"no criterion {by!r}; {nearest(by, calibration.CRITERIA)}", where="--select-by")
    if by == "oracle" and out is None:
        raise UserError("the oracle needs anomalies", where="--select-by", fix="--out, or by shift or calibration")
    images = calibration.sets(config, train.levels, held_out.levels, out.levels if out else None)
    candidates, skipped = calibration.survey(config, config.group_sizes[0], images)
    return candidates, skipped, calibration.best(candidates, by, config.alpha)
