"""MLSAD as a workload: which units there are, what each needs, and how levels become one score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workloads.keys import keys_of
from workloads.mlsad.architecture import (
    detector_kept,
    detector_parameters,
    detector_step_macs,
    generator_kept,
    generator_parameters,
    generator_step_macs,
)
from workloads.mlsad.config import CONTRAST, PUBLISHED_SCHEDULES, MLSADConfig
from workloads.mlsad.levels import combined, level_of, part_of
from workloads.training.seeds import derive_seed
from workloads.units import (
    Analysis,
    DataFacts,
    ImageShape,
    PartNames,
    TrainingCounts,
    Unit,
    square_problems,
    training_bytes,
)

if TYPE_CHECKING:  # planning needs no torch
    import numpy as np
    import torch

    from workloads.data.view import TargetView
    from workloads.method import Scores, Tensors
    from workloads.mlsad.contrast import DetectorLearner
    from workloads.mlsad.gan import GeneratorLearner
    from workloads.mlsad.scorer import LevelScorer
    from workloads.training.distributed import Parallel


def part_level(unit: Unit) -> int:
    return level_of(unit.part)


class MLSAD:
    """Generators G_2, G_4, G_8 a class are shared stages; detectors D_1 to D_16 a class are the work of a trial."""

    name: ClassVar[str] = "mlsad"
    part_names: ClassVar[PartNames] = PartNames(kind="level", prefix="level_")
    analyses: ClassVar[Mapping[str, Analysis]] = {
        "generators": Analysis(
            "Quality of the generators, and samples of every level (Fig. 3 of the paper).",
            "workloads.mlsad.analyses.quality:generators",
        ),
        "position": Analysis(
            "What the position pair teaches D_1: its maps of a white and of a noise image (appendix B).",
            "workloads.mlsad.analyses.position:position",
        ),
        "maps": Analysis(
            "Where the anomaly is: pixel maps over test images (Fig. 4), pixel AUROC where there are masks.",
            "workloads.mlsad.analyses.localisation:localise",
        ),
        "fooling": Analysis(
            "Robustness probe (section 4.3): images made to look normal to the detector.",
            "workloads.mlsad.analyses.fooling:fooling",
        ),
    }
    selections: ClassVar[tuple[str, ...]] = ("contrastive", "oracle")
    config_type: ClassVar[type] = MLSADConfig

    def __init__(self, config: MLSADConfig) -> None:
        self.config = config

    @staticmethod
    def published_schedule(dataset: str, config: MLSADConfig) -> dict[str, Any]:  # noqa: ARG004 - there are no variants
        """Keys whose published value for a dataset is not the default."""
        return dict(PUBLISHED_SCHEDULES.get(dataset, {}))

    @staticmethod
    def share_problems(config: MLSADConfig, workers: int) -> Iterator[tuple[str, str]]:
        """What cannot be shared by `workers` that split every batch: (key, message)."""
        if config.batch_size % workers:
            yield "batch_size", f"{config.batch_size} cannot be shared equally by {workers} workers"
        if config.generator_batch_size % (4 * workers):
            yield (
                "generator_batch_size",
                f"{config.generator_batch_size} is no multiple of 4 for each of {workers} workers",
            )

    @staticmethod
    def data_problems(config: MLSADConfig, data: DataFacts) -> Iterator[tuple[str, str]]:
        """What does not fit between config and image side, or between keys of the config: (key, message)."""
        yield from (problems := list(square_problems(data.shape)))
        if problems:
            return
        side = data.shape.side
        if side < 8 or side & (side - 1):
            yield "data.side", f"the generators need a power of two from 8 on, found {side}"
        if side < max(config.levels):
            yield "data.side", f"level {max(config.levels)} needs images of at least that many pixels, found {side}"
        if 0 < config.crop <= max(config.levels):
            yield "crop", f"must be 0 or above the largest level, {max(config.levels)}, found {config.crop}"
        if config.crop > side:
            yield "crop", f"must be at most the images' side, {side}, found {config.crop}"
        if unused := [level for level in config.map_levels if level not in config.levels]:
            yield "map_levels", f"{unused} are not among `levels`, {list(config.levels)}"

    def stages(self, targets: Sequence[str]) -> list[Unit]:
        levels = [CONTRAST[level] for level in self.config.levels if CONTRAST[level] > 1]
        return [Unit("generator", target, part_of(k)) for target in targets for k in levels]

    def units(self, targets: Sequence[str]) -> list[Unit]:
        return [Unit("detector", target, part_of(k)) for target in targets for k in self.config.levels]

    def needs(self, unit: Unit) -> list[Unit]:
        """A detector trains on one bank and is held against all of its class's banks for selection."""
        return self.stages([unit.target]) if unit.kind == "detector" else []

    def stage_config(self, unit: Unit) -> dict[str, Any]:
        return {name: getattr(self.config, name) for name in keys_of(self.config, "stage")} | {
            "level": part_level(unit)
        }

    def steps(self, unit: Unit, counts: TrainingCounts) -> int:
        config = self.config
        if unit.kind == "generator":
            return max(1, round(config.generator_epochs * counts.images / config.generator_batch_size))
        return max(1, round(config.detector_epochs * counts.images / config.batch_size))

    def macs(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:
        config, level = self.config, part_level(unit)
        channels = 3 if config.grey_as_rgb else shape.channels
        if unit.kind == "generator":
            step = generator_step_macs(level, shape.side, config.width, channels) * config.generator_batch_size
        else:
            side = config.crop or shape.side
            step = detector_step_macs(level, side, config.width, config.blocks, channels) * config.batch_size
        return step * self.steps(unit, counts)

    def memory(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> float:  # noqa: ARG002 - none depends on them
        config, level = self.config, part_level(unit)
        channels = 3 if config.grey_as_rgb else shape.channels
        if unit.kind == "generator":
            kept = generator_kept(level, shape.side, config.width, channels) * config.generator_batch_size
            return training_bytes(generator_parameters(level, shape.side, config.width, channels), kept)
        kept = detector_kept(level, config.crop or shape.side, config.width, config.blocks) * config.batch_size
        return training_bytes(detector_parameters(level, config.width, config.blocks, channels), kept)

    def code(self, unit: Unit) -> tuple[str, ...]:
        """A generator's and a detector's learners, apart: an edit of a detector retrains no generator."""
        learner = "workloads.mlsad.gan" if unit.kind == "generator" else "workloads.mlsad.contrast"
        return (__name__, learner)

    def seed(self, unit: Unit) -> int:
        return derive_seed(self.config.seed, unit)

    def stage(
        self,
        unit: Unit,
        view: "TargetView",
        artifacts: "Mapping[str, Tensors]",  # noqa: ARG002 - none
        parallel: "Parallel",
    ) -> "GeneratorLearner":
        from workloads.mlsad.gan import GeneratorLearner

        steps = self.steps(unit, view.counts)
        return GeneratorLearner(self.config, part_level(unit), view.train, self.seed(unit), parallel, steps)

    def detector(
        self, unit: Unit, view: "TargetView", artifacts: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "DetectorLearner":
        from workloads.mlsad.contrast import DetectorLearner

        steps = self.steps(unit, view.counts)
        banks = {part_level(need): artifacts[str(need)]["fakes"] for need in self.needs(unit)}
        images = (view.train, view.val)
        return DetectorLearner(self.config, part_level(unit), images, banks, self.seed(unit), parallel, steps)

    def scored_with(self, unit: Unit) -> list[Unit]:  # noqa: ARG002 - fakes are for training alone
        return []

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,
        device: "torch.device",
        artifacts: "Mapping[str, Tensors]",  # noqa: ARG002 - none
    ) -> "LevelScorer":
        from workloads.mlsad.scorer import LevelScorer

        return LevelScorer(self.config, part_level(unit), shape, device)

    def combine(self, parts: "Scores") -> "np.ndarray":
        return combined(parts)

    def judged_parts(self) -> tuple[str, ...]:
        return tuple(map(part_of, self.config.levels))

    def remarks(self) -> list[str]:
        """Which published levels take no part, and a pooling that is not the published one."""
        left_out = [level for level in CONTRAST if level not in self.config.levels]
        remarks = [f"not all levels: without {', '.join(f'D_{level}' for level in left_out)}"] if left_out else []
        if self.config.pooling != "mean":
            remarks.append(f"windows are pooled by {self.config.pooling}, not by their mean as published")
        return remarks
