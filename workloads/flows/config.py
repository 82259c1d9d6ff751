"""Every key of the flow methods. Where no published value is known, the comment says "guess" and it stays a key."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from workloads.flows.architecture import Architecture, CouplingKind, Kind, Permutation

OutlierLoss = Literal["none", "ratio", "margin"]
Codec = Literal["png", "jpeg2000", "webp"]
Score = Literal[
    "ratio",
    "likelihood",
    "final_scale",
    "final_scale_ratio",
    "general_likelihood",
    "complexity",
    "complexity_only",
]

OF_GENERAL = ("ratio", "final_scale_ratio", "general_likelihood")
"""Scores that need the general flow."""

DENSE_STEPS = 8

NO_FLIP: dict[str, Any] = {"flip": False}
PUBLISHED_SCHEDULES: dict[str, dict[str, Any]] = dict.fromkeys(("svhn", "mnist", "fashion_mnist", "digits"), NO_FLIP)
"""Dataset -> where the published training differs from the defaults below: digits and clothes are not mirrored."""


@dataclass(frozen=True)
class FlowConfig:
    """Schirrmeister et al., "Understanding anomaly detection with deep invertible networks through hierarchies of
    distributions and features" (NeurIPS 2020); defaults are those of the authors' training script."""

    # the flow
    kind: Kind = "glow"  # convolutional; of local patches; fully connected: the last two are for analysis
    scales: int = 3
    steps: int = 32  # flow steps a scale; the published dense flow has `DENSE_STEPS`
    hidden: int = 512  # width of the coupling networks
    permutation: Permutation = "lu"  # between couplings; a dense flow's is always a fixed rotation
    coupling: CouplingKind = "affine"
    patch: int = 8  # side in pixels of a patch flow's patches

    # what is learnt
    hierarchy: Literal["general", "none"] = "general"  # a general flow to start from and to compare with, or none
    from_general: bool = True  # start from the general flow's weights; else from scratch
    outlier_loss: OutlierLoss = "none"  # auxiliary images as outliers: by the ratio, as published, or Hendrycks' margin
    outlier_weight: float = 6000.0
    outlier_temperature: float = 1000.0  # nats
    supervised: bool = False  # one density a class, where the target has labels
    score: Score = "ratio"  # which of the scores is the detector's
    complexity_codec: Codec = "png"  # of the input complexity (Serra et al.); png is what the authors replicated

    # size and schedule: what presets scale
    epochs: float = 250.0  # 0: the general flow as it is
    general_epochs: float = 250.0  # guess: the script's default for every set; the paper's is unknown
    batch_size: int = 64
    general_batch_size: int = 64
    lr: float = 5e-4  # Adamax
    general_lr: float = 5e-4
    weight_decay: float = 5e-5  # on every parameter, as published
    warmup_steps: int = 0  # of a linear warm-up of the rate; published: none
    init_batches: int = 11  # batches whose statistics initialise the flow

    # augmentation
    translate: float = 0.1  # largest shift, a fraction of the side; what moves in is black
    flip: bool = True  # mirrored at random: published for CIFAR and Tiny Images, not for SVHN, MNIST, Fashion-MNIST
    general_flip: bool = True  # of the auxiliary set

    # numerics
    autocast: bool = False  # coupling networks in bfloat16 while training; scores never
    checkpointing: bool = False  # recompute coupling networks going backward: less memory, a third more work
    accumulate: int = 1  # pieces that a batch is cut into, one after the other; changes the order of additions alone
    skip_limit: int = 100  # steps with non-finite gradients, in a row, before training fails; guess

    # both
    seed: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # read by pydantic where it is installed


def architecture(config: FlowConfig, channels: int, side: int, classes: int = 0) -> Architecture:
    """The network of a config for images of that shape; `classes` heads where it is class-conditional."""
    keys = ("kind", "scales", "steps", "hidden", "permutation", "coupling", "patch", "checkpointing", "autocast")
    return Architecture(channels=channels, side=side, classes=classes, **{key: getattr(config, key) for key in keys})


def of_general(config: FlowConfig) -> FlowConfig:
    """The config of the general flow that a config's flows are held against: maximum likelihood from scratch.

    Keys that do not touch it are at their defaults, so that equal general flows have equal configs.
    """
    plain = FlowConfig()
    same = ["outlier_weight", "outlier_temperature", "complexity_codec", "general_epochs", "general_batch_size"]
    same += ["general_lr", "general_flip"]
    return replace(
        config,
        hierarchy="none",
        from_general=False,
        outlier_loss="none",
        supervised=False,
        score="likelihood",
        epochs=config.general_epochs,
        batch_size=config.general_batch_size,
        lr=config.general_lr,
        flip=config.general_flip,
        **{key: getattr(plain, key) for key in same},
    )


def problems(config: FlowConfig) -> Iterator[tuple[str, str]]:
    """Every (key, what is wrong) of a config whose types are right; nothing if it can run."""
    for key, value in vars(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            yield key, "must be a finite number"
    positive = ["scales", "steps", "hidden", "patch", "general_epochs", "batch_size", "general_batch_size"]
    positive += ["lr", "general_lr", "init_batches", "accumulate", "skip_limit", "outlier_temperature"]
    for key in positive:
        if getattr(config, key) <= 0:
            yield key, "must be above 0"
    for key in ("epochs", "weight_decay", "warmup_steps", "outlier_weight"):
        if getattr(config, key) < 0:
            yield key, "must be 0 or above"
    if config.init_batches * config.batch_size == 1:
        yield "init_batches", "one image alone has no spread to start from; raise it or batch_size"
    if not 0 <= config.translate < 1:
        yield "translate", "must be in [0, 1)"
    if config.supervised and config.kind != "glow":
        yield "supervised", f"only a glow has a density for every class, not a {config.kind} flow"
    if config.epochs == 0 and not config.from_general:
        yield "epochs", "0 takes the general flow as it is, so from_general must be true"
    if config.hierarchy == "none":
        yield from needless(config)


def needless(config: FlowConfig) -> Iterator[tuple[str, str]]:
    """What a config without a general flow asks of it."""
    fix = "a general flow; set hierarchy to 'general', or"
    if config.from_general:
        yield "from_general", f"needs {fix} from_general to false"
    if config.outlier_loss != "none":
        yield "outlier_loss", f"needs {fix} outlier_loss to 'none'"
    if config.supervised:
        yield "supervised", f"its loss compares with {fix} supervised to false"
    if config.score in OF_GENERAL:
        yield "score", f"{config.score!r} needs {fix} score to 'likelihood' or 'final_scale'"
