"""Group scores of anyone's latents, read from array files: the KLODS part of the project without its flows."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from workloads.data.images import out_split
from workloads.data.reading.array_file import check_claims
from workloads.errors import Problem, UserError, nearest, several
from workloads.keys import config_problems
from workloads.klods import calibration
from workloads.klods.config import KlodsConfig
from workloads.klods.groups import form
from workloads.klods.latents import check_alike, checked
from workloads.klods.scoring import PARTS, fit
from workloads.scoring.metrics import auroc, auroc_interval
from workloads.scoring.table import rows

LOG_PROB = "log_prob"


@dataclass(frozen=True)
class LatentFile:
    """Latents of some images, one tensor (N, C, H, W) a level, and their log p (N,) in nats where the file has it."""

    name: str
    levels: list[Tensor]
    log_prob: Tensor | None


@dataclass(frozen=True)
class Cell:
    """AUROC of one part at one group size against one out set, with its 95 % interval; None where undefined."""

    part: str
    size: int
    out: str
    area: float | None
    interval: tuple[float, float] | None
    counts: tuple[int, int]  # normal and anomalous groups


def read(path: Path) -> LatentFile:
    """A .npy file is one level; an .npz file, or a folder of .npy files, has a level an entry, sorted by name.

    Entry `log_prob` is no level but log p of the images. Nothing is unpickled. Raises UserError with the file.
    """
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    arrays = {name: array for file in files for name, array in _arrays(file).items()}
    density = arrays.pop(LOG_PROB, None)
    names = sorted(arrays, key=lambda name: (len(name), name))  # z10 after z9
    levels = [_tensor(arrays[name], f"{path}, {name}") for name in names]
    checked(levels, str(path))
    return LatentFile(path.stem, levels, None if density is None else _tensor(density, f"{path}, {LOG_PROB}").double())


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        check_claims(path)
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {path.stem: content}
        with content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError:
        fix = "a .npy or .npz file, or a folder of .npy files"
        raise UserError("no such file", where=str(path), fix=fix) from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"no NumPy arrays: {error}", where=str(path)) from None


def _tensor(array: np.ndarray, where: str) -> Tensor:
    if array.dtype.kind != "f":
        raise UserError(f"{array.dtype} {array.shape}", where=where, fix="floating-point numbers")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def configured(values: Mapping[str, Any]) -> KlodsConfig:
    """The keys that the command line gives. Raises UserError (exit 2) with every problem."""
    config = KlodsConfig(**values)
    if listed := [Problem(key, message) for key, message in config_problems(config)]:
        raise several(listed)
    return config


def score_files(
    train: Path, normal: Path, outs: Sequence[Path], keys: Mapping[str, Any]
) -> tuple[pa.Table, list[Cell], list[str]]:
    """`score` of files, with the keys that the command line gives. Raises UserError as `read` and `score` do."""
    config = configured(keys)
    files = [read(path) for path in (train, normal, *outs)]
    return score(files[0], files[1], files[2:], config)


def select_files(
    train: Path, held_out: Path, out: Path | None, keys: Mapping[str, Any], by: str
) -> tuple[list[calibration.Candidate], list[str], calibration.Candidate]:
    """`select` of files, with the keys that the command line gives. Raises UserError as `read` and `select` do."""
    config = configured(keys)
    return select(read(train), read(held_out), read(out) if out else None, config, by)


def score(
    train: LatentFile, normal: LatentFile, outs: Sequence[LatentFile], config: KlodsConfig
) -> tuple[pa.Table, list[Cell], list[str]]:
    """Groups of the normal and of every out set, scored: the score table, AUROC by cell, and what to say about it.

    The table has the columns of `workloads.scoring.table.SCHEMA`: an image is a group, its id ``group-5/00017``, and a
    part is a score at a group size, ``klods_prior/5``. Raises UserError before any score is computed.
    """
    without_density = check_files(train, normal, outs)
    fitted = fit(train.levels, config, train.log_prob, train.name)
    fitted.check(config.group_sizes)
    counts, share = [len(file.levels[0]) for file in (normal, *outs)], config.contamination
    plans = {
        (out.name, size): form(counts[0], count, size, config.group_seed, out.name, share)
        for out, count in zip(outs, counts[1:], strict=True)
        for size in config.group_sizes
    }
    notes = [f"no {LOG_PROB} in the files: likelihood and typicality are those of the latents' prior"] * without_density
    blocks: list[pa.Table] = []
    cells: list[Cell] = []
    normal_scores: dict[int, dict[str, np.ndarray]] = {}  # groups of normals are the same for every out set
    for out in outs:
        both = [torch.cat(pair) for pair in zip(normal.levels, out.levels, strict=True)]
        density = None if without_density else torch.cat([normal.log_prob, out.log_prob])  # type: ignore[list-item]
        prepared = fitted.prepare(both, density, f"{normal.name} and {out.name}")
        for size in config.group_sizes:
            groups = plans[out.name, size]
            if size not in normal_scores:
                normal_scores[size] = dict(prepared.scores(groups.normal))
                blocks += _rows(normal.name, "test", normal.name, size, False, normal_scores[size])
            scores = dict(prepared.scores(groups.anomalous))
            blocks += _rows(normal.name, out_split(out.name), out.name, size, True, scores)
            cells += [_cell(part, size, out.name, normal_scores[size][part], scores[part]) for part in PARTS]
            notes.append(f"{out.name}: {groups.summary()}")
    return pa.concat_tables(blocks).unify_dictionaries(), cells, notes


def check_files(train: LatentFile, normal: LatentFile, outs: Sequence[LatentFile]) -> bool:
    """Whether no file has log p. Raises UserError for files that do not go together."""
    without = [file.log_prob is None for file in (train, normal, *outs)]
    if any(without) and not all(without):
        raise UserError(f"{LOG_PROB} is in some of the files", fix="in all of them, or in none")
    names = [file.name for file in (normal, *outs)]
    if len(set(names)) < len(names):
        raise UserError(f"sets of equal names: {', '.join(names)}", fix="files of different names")
    for file in (normal, *outs):
        check_alike(file.levels, train.levels, file.name)
    return all(without)


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
    train: LatentFile, held_out: LatentFile, out: LatentFile | None, config: KlodsConfig, by: str
) -> tuple[list[calibration.Candidate], list[str], calibration.Candidate]:
    """Every candidate, what was not possible, and the one chosen `by` a criterion. Raises UserError."""
    if by not in calibration.CRITERIA:
        raise UserError(f"no criterion {by!r}; {nearest(by, calibration.CRITERIA)}", where="--select-by")
    if by == "oracle" and out is None:
        raise UserError("the oracle needs anomalies", where="--select-by", fix="--out, or by shift or calibration")
    images = calibration.sets(config, train.levels, held_out.levels, out.levels if out else None)
    candidates, skipped = calibration.survey(config, config.group_sizes[0], images)
    return candidates, skipped, calibration.best(candidates, by, config.alpha)
