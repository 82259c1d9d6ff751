"""MLSAD as a workload: which units there are, what each needs, and how levels become one score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from workloads.method import Cost, Method
from workloads.mlsad.architecture import (
    detector_kept,
    detector_parameters,
    detector_step_macs,
    generator_kept,
    generator_messages,
    generator_parameters,
    generator_step_macs,
)
from workloads.mlsad.config import CONTRAST, MLSADConfig
from workloads.mlsad.levels import level_of, part_of
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
    import torch

    from workloads.data.view import TargetView
    from workloads.learner import Localizing, Scorer, Tensors
    from workloads.mlsad.contrast import DetectorLearner
    from workloads.mlsad.gan import GeneratorLearner
    from workloads.mlsad.scorer import LevelScorer
    from workloads.training.distributed import Parallel


def part_level(unit: Unit) -> int:
    return level_of(unit.part)


class MLSAD(Method):
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
    Config: ClassVar[type] = MLSADConfig
    config: MLSADConfig

    def check(self, facts: DataFacts) -> Iterator[tuple[str, str]]:
        config, workers = self.config, facts.workers
        if config.batch_size % workers:
            yield "batch_size", f"{config.batch_size} cannot be shared equally by {workers} workers"
        if config.generator_batch_size % (4 * workers) and workers > 1:
            message = f"{config.generator_batch_size} is no multiple of 4 for each of {workers} workers"
            yield "generator_batch_size", message
        if unfit := list(square_problems(facts.shape)):
            yield from unfit
            return
        side = facts.shape.side
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

    def steps(self, unit: Unit, counts: TrainingCounts) -> int:
        config = self.config
        if unit.kind == "generator":
            epochs = max(1, round(config.generator_epochs * counts.images / config.generator_batch_size))
            return config.generator_steps or epochs
        return config.detector_steps or max(1, round(config.detector_epochs * counts.images / config.batch_size))

    def cost(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> Cost:
        """Bytes are an estimate from the layer tables.

        Workers sum a detector's gradients once a step, and of a generator those of its two losses apart, beside every
        normalisation's statistics.
        """
        config, level, steps = self.config, part_level(unit), self.steps(unit, counts)
        channels = 3 if config.grey_as_rgb else shape.channels
        if unit.kind == "generator":
            batch, network = config.generator_batch_size, (level, shape.side, config.width, channels)
            step, kept = generator_step_macs(*network), generator_kept(*network)
            parameters = generator_parameters(*network)
            sums, messages = 2, generator_messages(shape.side)
        else:
            batch, side = config.batch_size, config.crop or shape.side
            step = detector_step_macs(level, side, config.width, config.blocks, channels)
            kept = detector_kept(level, side, config.width, config.blocks)
            parameters = detector_parameters(level, config.width, config.blocks, channels)
            sums, messages = 1, 1
        return Cost(
            step * batch * steps,
            training_bytes(parameters, kept * batch),
            sent=4 * parameters * sums * steps,
            messages=messages * steps,
        )

    def learner(
        self, unit: Unit, view: "TargetView", stages: "Mapping[str, Tensors]", parallel: "Parallel"
    ) -> "GeneratorLearner | DetectorLearner":
        config, level, seed, steps = self.config, part_level(unit), self.seed(unit), self.steps(unit, view.counts)
        if unit.kind == "generator":
            from workloads.mlsad.gan import GeneratorLearner

            return GeneratorLearner(config, level, view.train, seed, parallel, steps)
        from workloads.mlsad.contrast import DetectorLearner

        # it trains on one bank and is held against all of its class's banks for selection
        banks = {part_level(need): stages[str(need)]["fakes"] for need in self.needs(unit)}
        return DetectorLearner(config, level, (view.train, view.val), banks, seed, parallel, steps)

    def code(self, unit: Unit) -> tuple[str, ...]:
        """A generator's and a detector's learners, apart: an edit of a detector retrains no generator."""
        learner = "workloads.mlsad.gan" if unit.kind == "generator" else "workloads.mlsad.contrast"
        return (__name__, learner)

    def scorer(
        self,
        unit: Unit,
        shape: ImageShape,
        stages: "Mapping[str, Tensors]",  # noqa: ARG002 - fakes are for training alone
        device: "torch.device",
    ) -> "LevelScorer":
        from workloads.mlsad.scorer import LevelScorer

        return LevelScorer(self.config, part_level(unit), shape, device)

    def localizing(self, scorers: "Sequence[Scorer]") -> "list[Localizing]":
        """The levels of `map_levels`."""
        used = self.config.map_levels or self.config.levels
        return [scorer for scorer in super().localizing(scorers) if getattr(scorer, "level", 0) in used]

    def remarks(self) -> list[str]:
        """Which published levels take no part, and a pooling that is not the published one."""
        left_out = [level for level in CONTRAST if level not in self.config.levels]
        remarks = [f"not all levels: without {', '.join(f'D_{level}' for level in left_out)}"] if left_out else []
        if self.config.precision == "bf16":
            remarks.append("networks in bfloat16 while training; which precision was published is not stated")
        if self.config.pooling != "mean":
            remarks.append(f"windows are pooled by {self.config.pooling}, not by their mean as published")
        return remarks
