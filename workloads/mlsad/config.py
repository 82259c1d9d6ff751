"""Every key of MLSAD. Where the paper's text leaves a value open, the comment says "guess" and it stays a key."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

CONTRAST = {1: 0, 2: 1, 4: 2, 8: 4, 16: 8}
"""Detector level -> level of the fakes it learns from: always the one before."""

Pooling = Literal["mean", "max", "softmax", "linear_softmax"]

SHORTER: dict[str, Any] = {"detector_epochs": 100.0, "detector_milestones": (0.5, 0.75)}
PUBLISHED_SCHEDULES: dict[str, dict[str, Any]] = {"mnist": SHORTER, "mvtec_textures": SHORTER}
"""Dataset -> where the paper's schedule for it is not the defaults below (appendix C)."""


@dataclass(frozen=True)
class MLSADConfig:
    """Dai et al., arXiv 2104.12102; the searched keys are those of its Table 10."""

    # searched in the published grid (Table 10)
    batch_size: int = 8
    weight_decay: float = 5e-4  # Adam's L2
    noise: float = 0.05  # Gaussian noise on the detectors' input in training; a variance, as the paper's text says
    lambda_structure: float = 0.6  # Eq. 3; final value guess
    lambda_position: float = 0.4  # Eq. 3; final value guess
    blocks: int = 1  # residual blocks of a detector

    # size and schedule: what presets scale
    width: float = 1.0  # multiplies every channel count
    generator_epochs: float = 300.0
    detector_epochs: float = 250.0
    bank_size: int = 20_000  # fakes kept per (class, level)
    quality_steps: int = 500  # of each fresh classifier that judges the generators; changes no other number

    # both
    seed: int = 0
    grey_as_rgb: bool = True  # grey images repeated to RGB, as published; else all networks take one channel

    # detectors
    levels: tuple[int, ...] = (1, 2, 4, 8, 16)
    detector_lr: float = 1e-4  # guess
    detector_milestones: tuple[float, ...] = (0.4, 0.8)  # fractions of the schedule; 100 and 200 of 250 epochs
    detector_lr_decay: float = 0.3  # guess for CIFAR10, published for MNIST
    dropout: float = 0.1  # guess
    position: Literal["uniform", "grid"] = "uniform"  # where random coordinates come from; grid for maps
    shuffle_pool: Literal["dataset", "batch"] = "dataset"  # level 1: pixels shuffled over the train images or the batch

    # generators
    generator_batch_size: int = 32
    generator_lr: float = 1e-4  # guess
    discriminator_lr: float = 4e-4  # guess
    statistics_lr: float = 1e-4  # guess
    adam_betas: tuple[float, float] = (0.5, 0.999)  # of the three networks above; guess
    lambda_entropy: float = 1.0  # times the clip of Eq. 8; 0 is the paper's ablation
    mutual_information: Literal["jsd", "dv"] = "jsd"  # guess: the estimator of Eq. 1
    clip_wrt: Literal["parameters", "output"] = "parameters"  # guess: the gradients of Eq. 8
    minibatch_stddev: Literal["global", "local", "off"] = "global"  # local keeps the receptive field at k
    generator_spectral_norm: bool = True  # the text names SN and BN, the table only BN
    generator_batch_norm: bool = True
    generator_ema: float = 0.999  # guess; 0 takes the last weights

    # robustness probe (section 4.3), an analysis of a trained detector
    fooling_steps: int = 1000  # guess
    fooling_lr: float = 0.01  # Adam's, on pixels in [-1, 1]; guess
    fooling_pull_away: float = 0.1  # lambda_PT; guess

    # images larger than the paper's 32 x 32, and maps
    crop: int = 0  # side of the random crops that detectors train on; 0 = whole images; no side is published
    pooling: Pooling = "mean"  # of a level's window scores in Eq. 4; scoring alone depends on it
    map_levels: tuple[int, ...] = ()  # averaged in pixel maps; all if empty; textures use three, (4, 8, 16) is a guess

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # read by pydantic where it is installed


def problems(config: MLSADConfig) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong) of a config whose types are right; nothing if it can run."""
    for key, value in vars(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            yield key, "must be a finite number"
    positive = ["batch_size", "blocks", "width", "generator_epochs", "detector_epochs", "detector_lr", "generator_lr"]
    positive += ("discriminator_lr", "statistics_lr", "bank_size", "quality_steps", "fooling_steps", "fooling_lr")
    for key in positive:
        if getattr(config, key) <= 0:
            yield key, "must be above 0"
    for key in ("weight_decay", "noise", "lambda_structure", "lambda_position", "lambda_entropy", "fooling_pull_away"):
        if getattr(config, key) < 0:
            yield key, "must be 0 or above"
    for key in ("dropout", "generator_ema"):
        if not 0 <= getattr(config, key) < 1:
            yield key, "must be in [0, 1)"
    if config.bank_size == 1:
        yield "bank_size", "must be 2 or more: one part trains, the other is held out"
    if config.generator_batch_size < 4 or config.generator_batch_size % 4:
        yield "generator_batch_size", "must be a multiple of 4, the group of the minibatch standard deviation"
    unknown = [level for level in config.levels if level not in CONTRAST]
    if unknown or not config.levels or list(config.levels) != sorted(set(config.levels)):
        yield "levels", f"must be distinct levels among {list(CONTRAST)}, in order"
    if config.crop < 0:
        yield "crop", "must be 0, for whole images, or above the largest level"
    if any(k not in CONTRAST for k in config.map_levels) or list(config.map_levels) != sorted(set(config.map_levels)):
        yield "map_levels", f"must be distinct levels among {list(CONTRAST)}, in order, or none for all"
    if any(not 0 < m < 1 for m in config.detector_milestones):
        yield "detector_milestones", "must be fractions of the schedule, in (0, 1)"
