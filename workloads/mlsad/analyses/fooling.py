"""Robustness probe (section 4.3): images made to look normal to a trained detector. Are they normal to the eye?

From several sets of images that are not normal, gradient descent on pixels minimises mean A(X) + lambda_PT PT(X), for
the full detector and for its lowest and its highest level alone, as the paper compares them. Found images are rounded
to 8 bits before anything is measured, so every number below is of images that exist.

Starting sets: ``noise`` (uniform), ``shuffled`` (pixels of normal images, level 1), ``anomalous`` (test images of other
classes), ``grey`` (constant, from black to white, with a little noise). Variants: ``full``, ``level_1``, ``level_16``.
Numbers of every variant and set, as ``full/noise/fooled``; scores are in [0, 1]:

fooled            fraction of found images that score below the median of the normal test images: the probe's target
fooled_start      the same of the starting images; what is fooled before the descent says nothing
score             mean score of the found images
score_start       mean score of the starting images
score_least       smallest mean score of the batch on the way, before rounding
rounding          what rounding to 8 bits added to the mean score
objective_start, objective_middle, objective_end
                  mean A + lambda_PT PT after none, half and all of the updates, before rounding
nearest_normal    mean distance of found images to the nearest normal training image
diversity         mean distance between two found images; None with fewer than two

Distances are root mean squares over pixels and channels, in 0..1 (1 is black to white). To be compared with:

full/normal/score                         median score of the normal test images, for every variant
normal/nearest_normal, normal/diversity   the distances of real normal test images
start/noise/nearest_normal, .../diversity the distances of the starting images, for every set

A detector is robust where it is fooled only by images as near to normal ones as real normal ones are. Whether a
detector of another seed is fooled by the same images needs a second training and is not answered here.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.figures import image_rows
from workloads.learner import Finding, Fitted
from workloads.method import mean_of_parts
from workloads.mlsad.analyses.descent import Descent, descend_pixels, detector_score
from workloads.mlsad.analyses.distances import diversity, nearest
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.levels import part_of
from workloads.mlsad.mrf import level_0, level_1, to_bytes
from workloads.mlsad.scorer import LevelScorer, scorers
from workloads.training.distributed import Draws, Parallel
from workloads.training.seeds import derive_seed

BATCH = 16
GREY_NOISE = 5.0  # standard deviation in grey levels of 255


def fooling(config: MLSADConfig, view: TargetView, fitted: Fitted, seed: int) -> Finding:
    """The probe of one target; the module says what is found. Pictures: `fooling_full` and so on, starting images above
    found ones for every set. The same numbers for the same seed.

    Without normal or without anomalous test images there is nothing to compare with, and nothing is found. Raises
    KeyError without the state of a level.
    """
    normal = view.test_images(anomalous=False)
    if not len(normal) or not view.anomalous.any():
        return Finding({f"full/{name}/fooled": None for name in ("noise", "shuffled", "anomalous", "grey")})
    sets = starts(view, seed)
    numbers: dict[str, float | None] = {}
    for name, images in {"normal": normal, **{f"start/{name}": images for name, images in sets.items()}}.items():
        numbers |= {f"{name}/{key}": value for key, value in distances(images, view.train).items()}
    pictures = {}
    for variant, parts in variants(config, view, fitted).items():
        score = partial(detector_score, list(parts.values()))
        pace = (config.fooling_steps, config.fooling_lr, config.fooling_pull_away)
        descent = descend_pixels(score, list(sets.values()), *pace)
        ends = [to_bytes(part) for part in descent.ends]
        median = float(np.median(whole_score(parts, normal)))
        numbers[f"{variant}/normal/score"] = median
        for i, (name, start) in enumerate(sets.items()):
            before, after = (whole_score(parts, images) for images in (start, ends[i]))
            values = success(before, after, median) | trajectory(descent, i, float(after.mean()))
            values |= distances(ends[i], view.train)
            numbers |= {f"{variant}/{name}/{key}": value for key, value in values.items()}
        pairs = ((name, start, end) for (name, start), end in zip(sets.items(), ends, strict=True))
        rows = {row: part for name, *both in pairs for row, part in zip((name, f"{name}, end"), both, strict=True)}
        pictures[f"fooling_{variant}"] = image_rows(rows)
    return Finding(numbers, pictures)


def starts(view: TargetView, seed: int) -> dict[str, Tensor]:
    """The starting sets by name, each uint8 (16, C, S, S); of `anomalous` as many as there are, if fewer."""
    device, shape = view.device, (BATCH, *view.train.shape[1:])

    def draws(name: str) -> Draws:
        return Draws(derive_seed(seed, "fooling", view.target, name), device, Parallel())

    anomalous = view.test_images(anomalous=True)
    order = torch.randperm(len(anomalous), generator=draws("anomalous").generator, device=device)
    shades = torch.linspace(0, 255, BATCH, device=device).view(-1, 1, 1, 1)
    return {
        "noise": level_0(draws("noise"), shape),
        "shuffled": level_1(draws("shuffled"), view.train, BATCH),
        "anomalous": anomalous[order[:BATCH]],
        "grey": (shades + GREY_NOISE * draws("grey").normal(shape)).round().clamp(0, 255).to(torch.uint8),
    }


def variants(config: MLSADConfig, view: TargetView, fitted: Fitted) -> dict[str, dict[str, LevelScorer]]:
    """Scorers by part of the full detector and of its lowest and highest level alone, on networks of their own."""
    parts = {part_of(level): scorer for level, scorer in scorers(config, view, fitted).items()}
    for scorer in parts.values():
        scorer.net.requires_grad_(False)  # only pixels learn
    if len(parts) == 1:
        return {"full": parts}
    lowest, *_, highest = parts
    return {"full": parts, lowest: {lowest: parts[lowest]}, highest: {highest: parts[highest]}}


def whole_score(parts: Mapping[str, LevelScorer], images: Tensor) -> np.ndarray:
    """(N,) float32, from uint8 (N, C, S, S), exactly as test images are scored."""
    return mean_of_parts({part: scorer.image_scores(images) for part, scorer in parts.items()})


def success(before: np.ndarray, after: np.ndarray, median: float) -> dict[str, float | None]:
    """How often scores, each (N,), of starting and of found images beat the normal images' median."""
    return {
        "fooled": float((after < median).mean()),
        "fooled_start": float((before < median).mean()),
        "score": float(after.mean()),
        "score_start": float(before.mean()),
    }


def trajectory(descent: Descent, batch: int, rounded: float) -> dict[str, float | None]:
    """A batch's way, and the difference between its last mean score and the one after rounding to 8 bits."""
    objectives, scores = descent.objectives[:, batch], descent.scores[:, batch]
    middle = (len(objectives) - 1) // 2
    return {
        "score_least": float(scores.min()),
        "rounding": rounded - float(scores[-1]),
        "objective_start": float(objectives[0]),
        "objective_middle": float(objectives[middle]),
        "objective_end": float(objectives[-1]),
    }


def distances(images: Tensor, train: Tensor) -> dict[str, float | None]:
    """Of uint8 images (N, C, S, S) to the nearest of `train`, and between two of them."""
    return {"nearest_normal": nearest(images, train), "diversity": diversity(images)}
