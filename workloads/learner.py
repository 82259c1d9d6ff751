"""What a method hands over: learners that train, scorers that score, and what passes between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

Tensors = dict[str, Tensor]
State = dict[str, Any]
"""Nested dicts and lists of tensors and plain numbers, strings and booleans; nothing else, so it needs no pickle."""

Scores = Mapping[str, np.ndarray]
"""Part of a detector -> (N,) float32, higher = more anomalous. One network may give several kinds of score."""


class Learner(Protocol):
    """A unit in training. Its randomness depends on (seed, unit, step) alone, so a resumed run equals a whole one."""

    total_steps: int
    batch_size: int

    def step(self, step: int, images: Tensor) -> Tensors:
        """One optimisation step over this worker's rows of the global batch (uint8, (B, C, H, W)); scalars to log."""
        ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


@runtime_checkable
class Stage(Protocol):
    """A learner that leaves something else than its state for other units to read."""

    def artifact(self) -> Tensors: ...


@runtime_checkable
class Scorer(Protocol):
    """A trained unit, as far as scoring needs it."""

    def load_state(self, state: State) -> None:
        """Take what scoring needs from a learner's state."""
        ...

    def score(self, images: Tensor) -> Scores:
        """The scores of every part that this unit gives, from uint8 (N, C, H, W)."""
        ...


@runtime_checkable
class Localizing(Protocol):
    """A scorer that also says where in an image the anomaly is."""

    def maps(self, images: Tensor) -> Tensor:
        """A score a pixel, float32 (N, H, W), higher = more anomalous, from uint8 (N, C, H, W)."""
        ...


@runtime_checkable
class Programmable(Protocol):
    """A scorer of one part whose score torch alone computes, so that it can be exported as a program (see also
    `Method.programs`)."""

    def module(self) -> nn.Module:
        """uint8 (N, C, H, W) -> float32 (N,), as `score` gives; any N."""
        ...


@runtime_checkable
class Contrasting(Protocol):
    """A learner with proxy anomalies of its own, by which it is compared with others."""

    def contrast(self) -> Mapping[str, Scores]:
        """Scores of proxy anomalies that need no label, by split name `group/name` (see `workloads.scoring.table`).

        The group ``out`` is not for them: it is that of the out sets.
        """
        ...


@runtime_checkable
class CrossScoring(Protocol):
    """A learner that can score its training images as held-out ones, for thresholds."""

    def cross_scores(self) -> Scores:
        """(N,) of every part, each row scored by a fit without those of its image, and of what shows the same."""
        ...


@dataclass(frozen=True)
class GroupScores:
    """Scores of groups of images, a part a score and a group size, ``klods_prior/5``: (groups,) float32."""

    held_out: Scores
    normal: Scores
    anomalous: Mapping[str, Scores]  # by split


@runtime_checkable
class GroupDetector(Protocol):
    """A detector whose scores are of groups of images; a single image is one of them only where asked for."""

    def score_groups(self, held_out: Tensor, normal: Tensor, anomalous: Mapping[str, Tensor]) -> GroupScores:
        """From uint8 (N, C, H, W): held-out normal images, tested normal ones, and by split tested anomalies."""
        ...


@dataclass(frozen=True)
class Fitted:
    """What was made of a target, for an analysis to look at beside its images. All by str(unit)."""

    artifacts: Mapping[str, Tensors] = field(default_factory=dict)  # of every stage of the target
    states: Mapping[str, State] = field(default_factory=dict)  # of every detector of the target
    histories: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)  # what both logged


Curves = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Finding:
    """What an analysis found about a target: numbers for tables and MLflow, pictures for the eye."""

    numbers: Mapping[str, float | None]  # undefined is None
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)  # file stem -> uint8 (H, W, 3)
    curves: Mapping[str, Curves] = field(default_factory=dict)  # file stem -> line -> (x, y), to be drawn
