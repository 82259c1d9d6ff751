"""The patch memory as a workload: one fit a target, in one go."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from workloads.errors import Kind, UserError
from workloads.method import Cost, FittedMethod
from workloads.patch_memory.config import (
    LITE,
    LITE_MODULE,
    NETWORKS,
    NO_NETWORK,
    PIXELS,
    RANDOM,
    TIMM,
    Network,
    PatchMemoryConfig,
)
from workloads.units import DataFacts, ImageShape, TrainingCounts, Unit, window_problems

if TYPE_CHECKING:  # planning needs no torch
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from workloads.learner import State
    from workloads.patch_memory.features import Features

CONVOLUTIONS = Network((), 5_000, 96, 2)
"""What features that no network gives are taken to cost."""
USUAL_OF = 100  # images, evenly chosen, that say what is usual at a place
LEAST_USUAL = 10  # images or windows; of fewer nothing is called usual, in no fit of a detector


def several(numbers: "NDArray[np.int64]") -> bool:
    """Whether another image's patches can be neighbours at all."""
    return len(set(numbers.tolist())) > 1


def evenly(count: int) -> list[int]:
    """The rows, of so many, that say what is usual."""
    return sorted({number * count // USUAL_OF for number in range(USUAL_OF)})


class PatchMemory(FittedMethod):
    """Patches far from all normal ones are anomalous: neighbours (PatchCore), a Gaussian, or one a place (PaDiM)."""

    name: ClassVar[str] = "patch_memory"
    files: ClassVar[tuple[str, ...]] = ("checkpoint",)
    Config: ClassVar[type] = PatchMemoryConfig
    config: PatchMemoryConfig

    def prepare(self, data_dir: "Path | None") -> None:
        from workloads.patch_memory.features import fetched

        fetched(self.config, data_dir)

    def check(self, facts: DataFacts) -> Iterator[tuple[str, str]]:
        yield from super().check(facts)
        if self.config.model != "gaussian_per_place":
            return
        yield from window_problems(facts, "'gaussian_per_place' compares places")
        if facts.pooled:
            yield (
                "model",
                "'gaussian_per_place' needs images that are taken alike, and a whole dataset is normal: use 'gaussian'",
            )

    def cost(self, unit: Unit, shape: ImageShape, counts: TrainingCounts) -> Cost | None:  # noqa: ARG002 - all alike
        """Of the features and the coreset; not known of a network without defaults."""
        config, scale = self.config, 1.0
        network = CONVOLUTIONS if config.features in NO_NETWORK else NETWORKS.get(config.features)
        if network is None:
            return None
        if network is not CONVOLUTIONS:
            scale = max(1.0, config.least_side / min(shape.height, shape.width))
        pixels, channels = shape.height * shape.width * scale**2, network.channels
        patches = pixels / network.stride**2
        work = counts.images * (network.macs * pixels + patches * channels**2)
        kept = 4 * (channels**2 + (config.memory + config.candidates) * channels)
        if config.model == "neighbours":
            work += config.memory * config.candidates * config.projection
        if self.standardised:
            compared = config.memory if config.model == "neighbours" else channels
            work += min(counts.images, USUAL_OF) * (network.macs * pixels + patches * compared * channels)
        return Cost(work, kept + 4 * patches * channels * 8)

    def code(self, unit: Unit) -> tuple[str, ...]:  # noqa: ARG002 - the same of all
        """What fits and scores: an edit of what extends or exports a memory makes no other trial."""
        return (__name__, *(f"workloads.patch_memory.{name}" for name in ("features", "maps", "memory")))

    def packages(self) -> tuple[str, ...]:
        features = self.config.features
        return (LITE_MODULE,) if features == LITE else ("timm",) if features.startswith(TIMM) else ()

    def fit(self, images: "Tensor") -> "State":
        import numpy as np

        return self.fit_windows(images, np.arange(len(images)))

    def fit_windows(self, images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        """Distances are told in deviations where there are enough images to say what is usual."""
        state = self._plain(images, numbers)
        enough = self.standardised and len(images) >= LEAST_USUAL and several(numbers)
        return self._with_usual(state, images, numbers) if enough else state

    def fit_like(self, whole: "State", images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        """Distances are told in deviations where those of the whole are; of one image in the whole's."""
        plain = self._plain(images, numbers)
        if "usual" not in whole:
            return plain
        if not several(numbers):
            return plain | {"usual": whole["usual"], "usual_of": whole["usual_of"]}
        return self._with_usual(plain, images, numbers)

    def _plain(self, images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        """Also the SHA-256 of the network's weights: a detector is not scored with others."""
        from workloads.patch_memory.features import features
        from workloads.patch_memory.memory import fit

        seen = features(self.config, images.device)
        return fit(self.config, seen.chunks(images), numbers) | {"weights": seen.weights}

    def _with_usual(self, state: "State", images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        from workloads.patch_memory.memory import with_usual

        rows = evenly(len(images))
        return with_usual(self.config, state, self._features(state).chunks(images[rows]), numbers[rows])

    @property
    def standardised(self) -> bool:
        return self.config.standardised and self.config.model != "gaussian_per_place"

    def extend(self, fitted: "State", images: "Tensor", numbers: "NDArray[np.int64]") -> "State":
        """What is usual at a place is then what is so of the images before, as measured then, and of those that are
        added; where nothing was called usual, it is not called so now."""
        from workloads.patch_memory.extension import extended, next_number

        numbers = numbers + next_number(fitted)
        state = extended(self.config, fitted, self._features(fitted).chunks(images), numbers)
        return self._with_usual(state, images, numbers) if "usual" in fitted else state

    def score(self, fitted: "State", images: "Tensor") -> "Tensor":
        import torch

        from workloads.patch_memory.memory import reweighted

        if self.config.image_score == "reweighted":
            parts = [reweighted(fitted, chunk) for chunk in self._features(fitted).chunks(images)]
        else:
            parts = [part.amax((1, 2)) for part in self._maps(fitted, images)]
        return torch.cat(parts)

    def maps(self, fitted: "State", images: "Tensor") -> "Tensor":
        import torch

        return torch.cat(list(self._maps(fitted, images)))

    def _maps(self, fitted: "State", images: "Tensor") -> "Iterator[Tensor]":
        from workloads.patch_memory.maps import pixel_scores
        from workloads.patch_memory.memory import distances

        for chunk in self._features(fitted).chunks(images):
            scores = distances(self.config, fitted, chunk)
            yield pixel_scores(scores, images.shape[2], images.shape[3], self.config.smoothing)

    def module(self, fitted: "State") -> "nn.Module":
        from workloads.patch_memory.program import PatchProgram

        return PatchProgram(self.config, fitted, self._features(fitted))

    def _features(self, fitted: "State") -> "Features":
        from workloads.patch_memory.features import features

        device = next(value.device for value in fitted.values() if hasattr(value, "device"))
        seen = features(self.config, device)
        if seen.weights != fitted["weights"]:
            raise UserError(
                f"the weights of {self.config.features} are others than those that this detector was fitted with",
                fix="bring the file back, or fit anew",
                kind=Kind.ENVIRONMENT,
            )
        return seen

    def remarks(self) -> list[str]:
        """What the features are, and what the numbers rest on beside the images."""
        name = self.config.features
        if name == RANDOM:
            return ["features are random convolutions: nothing but the images themselves goes into these numbers"]
        if name == PIXELS:
            return ["features are raw patches: nothing but the images themselves goes into these numbers"]
        weights = f"the checkpoint {self.config.checkpoint}" if self.config.checkpoint else "ImageNet"
        return [f"features are {name}'s, trained on {weights}: these numbers rest on images from elsewhere"]

    @property
    def external(self) -> str:
        if self.config.features in NO_NETWORK:
            return ""
        return "checkpoint" if self.config.checkpoint else "ImageNet"
