"""The one interface the orchestrator sees. A method that offers it can be trained, tuned, compared and scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.training.distributed import Parallel
from workloads.units import Analysis, DataFacts, ImageShape, PartNames, TrainingCounts, Unit

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


class Stage(Learner, Protocol):
    """A learner whose result other units read."""

    def artifact(self) -> Tensors: ...


class Scorer(Protocol):
    """A trained unit, as far as scoring needs it."""

    def load_state(self, state: State) -> None:
        """Take what scoring needs from a learner's state."""
        ...

    def score(self, images: Tensor) -> Scores:
        """The scores of every part that this unit gives, from uint8 (N, C, H, W)."""
        ...


class Detector(Learner, Scorer, Protocol):
    """A learner that scores images."""

    def contrast(self) -> Mapping[str, Scores]:
        """Scores of proxy anomalies that need no label, by split name `group/name` (see `workloads.scoring.table`).

        The group ``out`` is not for them: it is that of the out sets.
        """
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


class Method(Protocol):
    """A method. Instances are made from a config alone: `Method(config)`."""

    name: ClassVar[str]
    config_type: ClassVar[type]
    config: Any
    analyses: ClassVar[Mapping[str, Analysis]]  # by name
    part_names: ClassVar[PartNames]  # what results call its parts
    selections: ClassVar[tuple[str, ...]]  # criteria a winner can be chosen by (see `workloads.scoring.selection`)

    @staticmethod
    def data_problems(config: Any, data: DataFacts) -> Iterator[tuple[str, str]]:
        """What does not fit between keys, or between config and data."""
        ...

    @staticmethod
    def share_problems(config: Any, workers: int) -> Iterator[tuple[str, str]]:
        """What cannot be shared by `workers` that split every batch."""
        ...

    @staticmethod
    def published_schedule(dataset: str, config: Any) -> dict[str, Any]:
        """Keys whose published value, for a dataset and a config's variant of the method, is not the default."""
        ...

    def stages(self, targets: Sequence[str]) -> list[Unit]:
        """Work shared between trials, done once."""
        ...

    def units(self, targets: Sequence[str]) -> list[Unit]:
        """The work of one trial."""
        ...

    def needs(self, unit: Unit) -> list[Unit]:
        """The stages whose artifacts the unit reads; a stage may need others, never in a circle."""
        ...

    def stage_config(self, unit: Unit) -> dict[str, Any]:
        """The part of the config that determines the stage, to be hashed."""
        ...

    def steps(self, unit: Unit, counts: TrainingCounts) -> int: ...

    def macs(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        """Multiply-accumulates of training the unit to the end."""
        ...

    def memory(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        """Bytes that training the unit holds on its device, images apart: an estimate from the layer tables."""
        ...

    def stage(self, unit: Unit, view: TargetView, artifacts: Mapping[str, Tensors], parallel: Parallel) -> Stage:
        """The stage's learner. artifacts: by str(unit), of the stages it needs."""
        ...

    def detector(self, unit: Unit, view: TargetView, artifacts: Mapping[str, Tensors], parallel: Parallel) -> Detector:
        """The detector's learner. artifacts: by str(unit), of the stages it needs."""
        ...

    def code(self, unit: Unit) -> tuple[str, ...]:
        """Modules that training and scoring the unit begin from: an edit of what they import makes it another unit.

        The method's own alone stands for all it imports; beside others, for what it imports at its top.
        """
        ...

    def scored_with(self, unit: Unit) -> list[Unit]:
        """Of the stages it needs, those whose artifacts scoring reads as well."""
        ...

    def scorer(
        self, unit: Unit, shape: ImageShape, device: torch.device, artifacts: Mapping[str, Tensors]
    ) -> Scorer: ...

    def combine(self, parts: Scores) -> np.ndarray:
        """The score of the whole detector from its parts' scores, each (N,) float32."""
        ...

    def judged_parts(self) -> tuple[str, ...]:
        """The parts by whose scores of proxy anomalies this config is compared with others."""
        ...

    def remarks(self) -> list[str]:
        """What a reader of the results must know of this config, in sentences."""
        ...
