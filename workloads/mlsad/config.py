"""Every key of MLSAD. Where the paper's text leaves a value open, the comment says "guess" and it stays a key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from workloads.keys import Precision, key

CONTRAST = {1: 0, 2: 1, 4: 2, 8: 4, 16: 8}
"""Detector level -> level of the fakes it learns from: always the one before."""

Pooling = Literal["mean", "max", "peak", "softmax", "linear_softmax"]

SHORTER: dict[str, Any] = {"detector_epochs": 100.0, "detector_milestones": (0.5, 0.75)}
"""MNIST's and the textures' schedule, where it is not the defaults below (appendix C)."""


@dataclass(frozen=True)
class MLSADConfig:
    """Dai et al., arXiv 2104.12102; the searched keys are those of its Table 10."""

    # searched in the published grid (Table 10)
    batch_size: int = key(8, above=0)
    weight_decay: float = key(5e-4, low=0)  # Adam's L2
    # Gaussian noise on the detectors' input in training; a variance, as the paper's text says
    noise: float = key(0.05, low=0)
    lambda_structure: float = key(0.6, low=0)  # Eq. 3; final value guess
    lambda_position: float = key(0.4, low=0)  # Eq. 3; final value guess
    blocks: int = key(1, above=0)  # residual blocks of a detector

    # size and schedule: what presets scale
    width: float = key(1.0, role="stage", schedule=True, above=0)  # multiplies every channel count
    generator_epochs: float = key(300.0, role="stage", schedule=True, above=0)
    detector_epochs: float = key(250.0, schedule=True, above=0)
    # of each network; above 0 in place of its epochs, which are few steps where images are few
    generator_steps: int = key(0, role="stage", schedule=True, low=0)
    detector_steps: int = key(0, schedule=True, low=0)
    bank_size: int = key(20_000, role="stage", low=2)  # fakes kept per (class, level)
    # of each fresh classifier that judges the generators; changes no other number
    quality_steps: int = key(500, role="analysis", above=0)

    # both
    seed: int = key(0, role="stage")
    # of all networks while training; scores and the bank of fakes are float32 always; auto: as the device is fast
    precision: Precision = key("fp32", role="stage", schedule=True)
    # grey images repeated to RGB, as published; else all networks take one channel
    grey_as_rgb: bool = key(True, role="stage")

    # detectors
    levels: tuple[int, ...] = key((1, 2, 4, 8, 16), role="run", schedule=True)
    detector_lr: float = key(1e-4, above=0)  # guess
    # fractions of the schedule; 100 and 200 of 250 epochs
    detector_milestones: tuple[float, ...] = key((0.4, 0.8), schedule=True, above=0, below=1)
    detector_lr_decay: float = key(0.3, schedule=True)  # guess for CIFAR10, published for MNIST
    dropout: float = key(0.1, low=0, below=1)  # guess
    # random coordinates are from the range that true ones reach, as the text says; of the true ones; or from [-1, 1]
    position: Literal["in_range", "grid", "uniform"] = key("in_range")
    # level 1: pixels shuffled over the train images or the batch
    shuffle_pool: Literal["dataset", "batch"] = key("dataset")

    # generators
    generator_batch_size: int = key(32, role="stage", schedule=True)
    generator_lr: float = key(1e-4, role="stage", above=0)  # guess
    discriminator_lr: float = key(4e-4, role="stage", above=0)  # guess
    statistics_lr: float = key(1e-4, role="stage", above=0)  # guess
    # of the three networks above; guess
    adam_betas: tuple[float, float] = key((0.5, 0.999), role="stage", low=0, below=1)
    lambda_entropy: float = key(1.0, role="stage", low=0)  # times the clip of Eq. 8; 0 is the paper's ablation
    mutual_information: Literal["jsd", "dv"] = key("jsd", role="stage")  # guess: the estimator of Eq. 1
    clip_wrt: Literal["parameters", "output"] = key("parameters", role="stage")  # guess: the gradients of Eq. 8
    # local keeps the receptive field at k
    minibatch_stddev: Literal["global", "local", "off"] = key("global", role="stage")
    generator_spectral_norm: bool = key(True, role="stage")  # the text names SN and BN, the table only BN
    generator_batch_norm: bool = key(True, role="stage")
    generator_ema: float = key(0.999, role="stage", low=0, below=1)  # guess; 0 takes the last weights

    # robustness probe (section 4.3), an analysis of a trained detector
    fooling_steps: int = key(1000, role="analysis", above=0)  # guess
    fooling_lr: float = key(0.01, role="analysis", above=0)  # Adam's, on pixels in [-1, 1]; guess
    fooling_pull_away: float = key(0.1, role="analysis", low=0)  # lambda_PT; guess

    # images larger than the paper's 32 x 32, and maps
    # side of the random crops that detectors train on; 0 = whole images; no side is published
    crop: int = key(0, low=0)
    pooling: Pooling = key("mean")  # of a level's window scores in Eq. 4; scoring alone depends on it
    # averaged in pixel maps; all if empty; textures use three, (4, 8, 16) is a guess
    map_levels: tuple[int, ...] = key((), role="analysis")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.generator_batch_size < 4 or self.generator_batch_size % 4:
            yield "generator_batch_size", "must be a multiple of 4, the group of the minibatch standard deviation"
        unknown = [level for level in self.levels if level not in CONTRAST]
        if unknown or not self.levels or list(self.levels) != sorted(set(self.levels)):
            yield "levels", f"must be distinct levels among {list(CONTRAST)}, in order"
        if any(k not in CONTRAST for k in self.map_levels) or list(self.map_levels) != sorted(set(self.map_levels)):
            yield "map_levels", f"must be distinct levels among {list(CONTRAST)}, in order, or none for all"
