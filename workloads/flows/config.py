"""Every key of the flow methods. Where no published value is known, the comment says "guess" and it stays a key."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from workloads.flows.architecture import Architecture, CouplingKind, Kind, Permutation
from workloads.keys import Precision, key

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

NO_FLIP: dict[str, Any] = {"flip": False}
PUBLISHED_SCHEDULES: dict[str, dict[str, Any]] = dict.fromkeys(("svhn", "mnist", "fashion_mnist", "digits"), NO_FLIP)
"""Dataset -> where the published training differs from the defaults below: digits and clothes are not mirrored."""


@dataclass(frozen=True)
class FlowConfig:
    """Schirrmeister et al., "Understanding anomaly detection with deep invertible networks through hierarchies of
    distributions and features" (NeurIPS 2020); defaults are those of the authors' training script."""

    # the flow
    # convolutional; of local patches; fully connected: the last two are for analysis
    kind: Kind = key("glow", role="stage")
    scales: int = key(3, role="stage", schedule=True, above=0)
    # flow steps a scale; the published dense flow has 8
    steps: int = key(32, role="stage", schedule=True, above=0)
    hidden: int = key(512, role="stage", schedule=True, above=0)  # width of the coupling networks
    permutation: Permutation = key("lu", role="stage")  # between couplings; a dense flow's is always a fixed rotation
    coupling: CouplingKind = key("affine", role="stage")
    patch: int = key(8, role="stage", above=0)  # side in pixels of a patch flow's patches

    # what is learnt
    hierarchy: Literal["general", "none"] = key("general")  # a general flow to start from and to compare with, or none
    from_general: bool = key(True)  # start from the general flow's weights; else from scratch
    # auxiliary images as outliers: by the ratio, as published, or Hendrycks' margin
    outlier_loss: OutlierLoss = key("none")
    outlier_weight: float = key(6000.0, low=0)
    outlier_temperature: float = key(1000.0, above=0)  # nats
    supervised: bool = key(False)  # one density a class, where the target has labels
    score: Score = key("ratio")  # which of the scores is the detector's
    complexity_codec: Codec = key("png")  # of the input complexity (Serra et al.); png is what the authors replicated

    # size and schedule: what presets scale
    epochs: float = key(250.0, schedule=True, low=0)  # 0: the general flow as it is
    # guess: the script's default for every set; the paper's is unknown
    general_epochs: float = key(250.0, role="stage", schedule=True, above=0)
    batch_size: int = key(64, schedule=True, above=0)
    general_batch_size: int = key(64, role="stage", schedule=True, above=0)
    lr: float = key(5e-4, schedule=True, above=0)  # Adamax
    general_lr: float = key(5e-4, role="stage", schedule=True, above=0)
    weight_decay: float = key(5e-5, role="stage", schedule=True, low=0)  # on every parameter, as published
    warmup_steps: int = key(0, role="stage", schedule=True, low=0)  # of a linear warm-up of the rate; published: none
    init_batches: int = key(11, role="stage", schedule=True, above=0)  # batches whose statistics initialise the flow

    # augmentation
    # largest shift, a fraction of the side; what moves in is black
    translate: float = key(0.1, role="stage", schedule=True, low=0, below=1)
    # mirrored at random: published for CIFAR and Tiny Images, not for SVHN, MNIST, Fashion-MNIST
    flip: bool = key(True, schedule=True)
    general_flip: bool = key(True, role="stage", schedule=True)  # of the auxiliary set

    # numerics
    # of coupling networks while training, scores are float32; auto: bf16 where the device is fast in it
    precision: Precision = key("fp32", role="stage", schedule=True)
    # recompute coupling networks going backward: less memory, a third more work
    checkpointing: bool = key(False, role="execution")
    # pieces that a batch is cut into, one after the other; changes the order of additions alone
    accumulate: int = key(1, role="execution", above=0)
    # steps with non-finite gradients, in a row, before training fails; guess
    skip_limit: int = key(100, role="execution", above=0)

    # both
    seed: int = key(0, role="stage")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.init_batches * self.batch_size == 1:
            yield "init_batches", "one image alone has no spread to start from; raise it or batch_size"
        if self.supervised and self.kind != "glow":
            yield "supervised", f"only a glow has a density for every class, not a {self.kind} flow"
        if self.epochs == 0 and not self.from_general:
            yield "epochs", "0 takes the general flow as it is, so from_general must be true"
        if self.hierarchy == "none":
            yield from needless(self)


def architecture(config: FlowConfig, channels: int, side: int, classes: int = 0) -> Architecture:
    """The network of a config for images of that shape; `classes` heads where it is class-conditional."""
    keys = ("kind", "scales", "steps", "hidden", "permutation", "coupling", "patch", "checkpointing")
    values = {key: getattr(config, key) for key in keys}
    return Architecture(channels=channels, side=side, classes=classes, autocast=config.precision == "bf16", **values)


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
