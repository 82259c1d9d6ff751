"""Choosing split, level and regulariser without an anomaly.

Two criteria, both on held-out in-distribution latents:

* calibration: the share of their groups that the null law calls anomalous at rate alpha. Near alpha, the score's null
  is what it should be; it says nothing about power.
* shift: AUROC of those groups against groups of the same latents made anomalous by `correlate`. It says how much
  neighbour correlation of a given strength shows; whether real anomalies are like that is an assumption, and one that
  favours patches: channel vectors hold no neighbours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.klods.config import SUM, KlodsConfig
from workloads.klods.groups import partition
from workloads.klods.latents import Latents, check_alike, checked
from workloads.klods.scoring import PRIOR, TRAIN, blocks, combined, group_kl
from workloads.klods.splits import NAMES, REGULARISERS, LatentCut, Vectors, check_enough, parse
from workloads.klods.splitting import group_vectors
from workloads.klods.statistics.gaussian import Whitening
from workloads.klods.statistics.null_law import p_values
from workloads.scoring.metrics import auroc

CRITERIA = ("shift", "calibration", "oracle")


def correlate(level: Tensor, rho: float) -> Tensor:
    """Latents (N, C, H, W) whose neighbours are correlated by about rho more, along rows and columns; float64.

    A filter of first order runs along both axes; its output only says in which order each channel's own values go. So
    every channel of every image keeps exactly its values, hence its norm, its histogram and its density under the
    prior: likelihood and typicality of the prior cannot see the change. rho in (-1, 1), 0 changes nothing.
    """
    values = level.double()
    moved = autoregressive(autoregressive(values, rho, -1), rho, -2)
    ranks = moved.flatten(2).argsort(-1).argsort(-1)
    return values.flatten(2).sort(-1).values.gather(-1, ranks).reshape(level.shape)


def autoregressive(values: Tensor, rho: float, axis: int) -> Tensor:
    """y_0 = x_0, y_i = rho y_{i-1} + sqrt(1 - rho^2) x_i along an axis: white unit noise keeps its variance."""
    steps = list(values.unbind(axis))
    for i in range(1, len(steps)):
        steps[i] = rho * steps[i - 1] + (1 - rho * rho) ** 0.5 * steps[i]
    return torch.stack(steps, axis)


@dataclass(frozen=True)
class Candidate:
    """One setting and what can be said of it without anomalies. None: not defined for this setting.

    to: klods_prior or klods_train. false_positives: share of held-out groups below p = alpha, only without a
    regulariser. shift: AUROC in [0, 1]. oracle: AUROC against real anomalies, a leak if selected by.
    """

    split: str
    level: str
    regulariser: str
    to: str
    size: int
    false_positives: float | None
    shift: float | None
    oracle: float | None = None


@dataclass(frozen=True)
class Sets:
    """What candidates are judged on: train fits the whitening; anomalies are real ones, for the oracle alone."""

    train: Latents
    held_out: Latents
    made: Latents
    anomalies: Latents | None = None


def sets(config: KlodsConfig, train: Latents, held_out: Latents, anomalies: Latents | None = None) -> Sets:
    """With the made anomalies of `held_out`. Raises UserError for what is not latents or of unequal shapes."""
    for where, some in (("train", train), ("held-out", held_out), ("anomalies", anomalies)):
        if some is not None:
            checked(some, where)
            check_alike(some, train, where)
    return Sets(train, held_out, [correlate(level, config.shift) for level in held_out], anomalies)


def survey(
    config: KlodsConfig, size: int, images: Sets, splits: Sequence[str] = NAMES
) -> tuple[list[Candidate], list[str]]:
    """Every candidate that can run, and a line for every one that cannot (a split that does not fit, n <= m).

    config's own split comes first, then `splits`; of two names for one split (groups_4, squeeze) only the first.
    Each level stands alone and, if there are several, in their sum. config gives alpha, shrinkage and seed.
    """
    candidates: list[Candidate] = []
    skipped: list[str] = []
    distinct: dict[LatentCut, str] = {}
    for name in (config.split, *splits):
        distinct.setdefault(parse(name), name)
    for split in distinct.values():
        for regulariser in REGULARISERS:
            setting = replace(config, split=split, regulariser=regulariser)
            areas: list[Level] = []
            for index in range(len(images.train)):
                try:
                    areas.append(level_scores(setting, size, images, index))
                except UserError as error:
                    skipped.append(f"{split}, z{index + 1}, {regulariser}: {error.headline}")
            if len(areas) == len(images.train) > 1:
                areas.append(summed(areas))
            candidates += [candidate for level in areas for candidate in judged(setting, size, level)]
    return candidates, skipped


@dataclass(frozen=True)
class Level:
    """KL in nats of one vector, (reference, set) -> (levels, G): of one level, or of all for their sum."""

    name: str
    kl: dict[tuple[str, str], Tensor]
    counts: list[Vectors]


def level_scores(config: KlodsConfig, size: int, images: Sets, index: int) -> Level:
    """Groups are the same images in every level, and made anomalies are grouped as the images they were made of."""
    train = images.train[index]
    counted = group_vectors(train, config.split, size)
    check_enough(counted.n, counted.m, config.regulariser)
    whitening = Whitening.fit(blocks(train, config.split))
    some = {"normal": (images.held_out, "held-out"), "made": (images.made, "held-out")}
    if images.anomalies is not None:
        some["real"] = (images.anomalies, "anomalies")
    kl = {}
    for name, (latents, seeded) in some.items():
        rows = torch.from_numpy(partition(len(latents[index]), size, config.group_seed, seeded)).to(train.device)
        for to, reference in ((PRIOR, None), (TRAIN, whitening)):
            kl[to, name] = group_kl(latents[index], rows, config, reference)[None]
    return Level(f"z{index + 1}", kl, [counted])


def summed(areas: Sequence[Level]) -> Level:
    counts = [count for level in areas for count in level.counts]
    return Level(SUM, {key: torch.cat([level.kl[key] for level in areas]) for key in areas[0].kl}, counts)


def judged(config: KlodsConfig, size: int, level: Level) -> Iterator[Candidate]:
    """The candidates of one level, to the prior and to the training Gaussian."""
    for to in (PRIOR, TRAIN):
        rate = None
        if config.regulariser == "none":
            p = p_values(level.kl[to, "normal"].cpu().numpy(), [(count.n, count.m) for count in level.counts])
            rate = float((p < config.alpha).mean())
        scores = {
            name: combined(list(kl), level.counts, config.weighting).cpu().numpy()
            for (reference, name), kl in level.kl.items()
            if reference == to
        }
        made, oracle = (_area(scores["normal"], scores[name]) if name in scores else None for name in ("made", "real"))
        yield Candidate(config.split, level.name, config.regulariser, to, size, rate, made, oracle)


def best(candidates: Sequence[Candidate], by: str, alpha: float) -> Candidate:
    """The chosen one. by: shift (greatest AUROC), calibration (rate nearest alpha, then greatest shift), or oracle.

    Ties go to the first. Raises UserError where no candidate has the criterion.
    """
    criterion = "false_positives" if by == "calibration" else by
    defined = [candidate for candidate in candidates if getattr(candidate, criterion) is not None]
    if not defined:
        raise UserError(f"no candidate has the criterion {by!r}", fix="larger groups, other splits, or by shift")
    if by == "calibration":
        return min(defined, key=lambda c: (abs((c.false_positives or 0) - alpha), -(c.shift or 0)))
    return max(defined, key=attrgetter(by))


def _area(normal: np.ndarray, anomalous: np.ndarray) -> float | None:
    return auroc(np.concatenate([normal, anomalous]), np.repeat([0, 1], [len(normal), len(anomalous)]))
