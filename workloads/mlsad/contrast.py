"""Training one detector D_k against the fakes of the level before, and scoring with it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.data.conform import as_channels
from workloads.learner import Scores, State, Tensors
from workloads.mlsad.architecture import map_side
from workloads.mlsad.config import CONTRAST, MLSADConfig
from workloads.mlsad.crops import crop_corners, crops
from workloads.mlsad.mrf import level_0, level_1, to_signed
from workloads.mlsad.networks.detector import contrast_loss
from workloads.mlsad.pooling import pooled
from workloads.mlsad.scorer import LevelScorer
from workloads.training.distributed import Draws, Parallel
from workloads.training.optimisers import descend, load_optimiser
from workloads.training.precision import computing_in
from workloads.training.seeds import derive_seed
from workloads.units import ImageShape

HELD_OUT = 256
"""Fakes of every level that no detector trains on: the last of each bank, and fresh draws at levels 0 and 1."""


def split_bank(bank: Tensor) -> tuple[Tensor, Tensor]:
    """Fakes (M, ...) to train on and those held out: the last 256, at most half. M is 2 or more."""
    held_out = min(HELD_OUT, len(bank) // 2)
    return bank[:-held_out], bank[-held_out:]


@dataclass(frozen=True)
class StepImages:
    """What a detector sees in one step: (x, C), (x~, C) and, with x once more, (x, C~)."""

    images: Tensor  # (2n, C, S, S) in [-1, 1]: n normal images, then n fakes
    noise: Tensor  # N(0, 1) of that shape
    place: Tensor  # (3n, 2, M, M)
    masks: list[Tensor] | None  # of dropout, one a block

    def noisy(self, deviation: float | Tensor) -> Tensor:
        """The images with input noise of that standard deviation."""
        return self.images + self.noise * deviation


class DetectorLearner(LevelScorer):
    """Eq. 3 on one batch a step. `banks`: level -> uint8 (M, C, S, S) fakes of the trained generators."""

    def __init__(
        self,
        config: MLSADConfig,
        level: int,
        images: tuple[Tensor, Tensor],
        banks: Mapping[int, Tensor],
        seed: int,
        parallel: Parallel,
        steps: int,
    ) -> None:
        self.config, self.level, self.seed, self.parallel = config, level, seed, parallel
        parallel.require_equal_rows(config.batch_size)
        self.total_steps, self.batch_size = steps, config.batch_size
        self.train, self.val = images
        self.crop = config.crop or self.train.shape[-1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "init"))
            shape = ImageShape(*self.train.shape[1:])
            super().__init__(config, level, shape, self.train.device)
        parts = {k: split_bank(bank) for k, bank in banks.items()}
        self.held_out = {k: held_out.clone() for k, (_, held_out) in parts.items()}  # a view would keep the whole bank
        self.bank = parts[CONTRAST[level]][0] if CONTRAST[level] in parts else None
        self.optimiser = torch.optim.Adam(
            self.net.parameters(), lr=config.detector_lr, weight_decay=config.weight_decay, fused=True
        )

    def fakes(self, draws: Draws, images: Tensor) -> Tensor:
        """This worker's fakes of the contrast level, uint8."""
        contrast = CONTRAST[self.level]
        if contrast == 0:
            return level_0(draws, (self.batch_size, self.channels, self.side, self.side))
        if contrast == 1:
            pool = self.train if self.config.shuffle_pool == "dataset" else self.parallel.gather(images)
            return level_1(draws, pool, self.batch_size)
        if self.bank is None:
            raise ValueError(f"D_{self.level} needs the bank of fakes of level {contrast}")
        return self.bank[draws.mine(draws.integers(len(self.bank), (self.batch_size,)))]

    def cropped(self, draws: Draws, images: Tensor) -> tuple[Tensor, Tensor]:
        """This worker's normal and fake images (2n, C, S, S), each cut at its own random place where crops are asked
        for, and their true coordinates (2n, 2, M, M): those of that place on the whole image."""
        if self.crop == self.side:
            return images, self.place.expand(len(images), -1, -1, -1)
        corners = draws.mine(crop_corners(draws, (self.batch_size, 2), self.side, self.crop, self.level))
        corners = corners.transpose(0, 1).flatten(0, 1)
        place = crops(self.place, corners, map_side(self.crop, self.level))
        return crops(images, corners, self.crop), place

    def displaced(self, draws: Draws, batch: int, side: int | None = None) -> Tensor:
        """Random coordinates C~ for a global batch, (batch, 2, side, side), where `side` is the whole map's if None:
        uniform in the range that true ones reach, drawn from the whole grid's own values, or uniform in [-1, 1].

        True centres go up to r = (S-k)/(S-1) alone. Of coordinates from all of [-1, 1] a share of 1 - r^2 of the cells
        is where no window is, which nothing but C~ shows: windows near the borders then look displaced, the more the
        larger k is. It costs an image's score a constant, and a map its borders.
        """
        centres = self.place[0, 0, :, 0]
        shape = (batch, 2, *(side or len(centres),) * 2)
        if self.config.position == "grid":
            return centres[draws.mine(draws.integers(len(centres), shape))]
        reach = (self.side - self.level) / (self.side - 1) if self.config.position == "in_range" else 1.0
        return (draws.uniform(shape) * 2 - 1) * reach

    def learning_rate(self, step: int) -> float:
        passed = sum(step >= m * self.total_steps for m in self.config.detector_milestones)
        return self.config.detector_lr * self.config.detector_lr_decay**passed

    def drawn(self, step: int, images: Tensor) -> StepImages:
        """Everything random of a step, from seed and step alone: trials that share both see the same of it.

        `images`: this worker's rows of the batch, uint8.
        """
        batch = self.batch_size
        draws = Draws(derive_seed(self.seed, step), self.device, self.parallel)
        x = torch.stack([as_channels(part, self.channels) for part in (images, self.fakes(draws, images))])
        x, place = self.cropped(draws, x.flatten(0, 1))
        noise = draws.normal((batch, 2, *x.shape[1:])).transpose(0, 1).flatten(0, 1)
        side = place.shape[-1]
        place = torch.cat([place, self.displaced(draws, batch, side)])
        return StepImages(to_signed(x), noise, place, self.dropout(draws, (batch, 3, side, side, self.net.hidden)))

    def step(self, step: int, images: Tensor) -> Tensors:
        """`images`: this worker's rows of the batch, uint8. Returns the loss of Eq. 3."""
        config = self.config
        batch = self.drawn(step, images)
        with computing_in(config.precision, self.device):
            logits = self.net(batch.noisy(config.noise**0.5), batch.place, batch.masks)
        normal, fake, displaced = logits.float().chunk(3)
        loss = contrast_loss(normal, fake, displaced, config.lambda_structure, config.lambda_position)
        gradients = list(torch.autograd.grad(loss, list(self.net.parameters())))
        self.parallel.average_(gradients)
        self.optimiser.param_groups[0]["lr"] = self.learning_rate(step)
        descend(self.optimiser, gradients)
        return {"loss": loss.detach()}

    def dropout(self, draws: Draws, shape: tuple[int, ...]) -> list[Tensor] | None:
        """One keep mask a block for the three parts of the batch, channels last as the activations they meet.

        `shape`: (batch, 3, M, M, channels). None where dropout is off.
        """
        keep = 1 - self.config.dropout
        if keep == 1:
            return None
        masks = (draws.kept(keep, shape) for _ in self.net.blocks)
        return [mask.transpose(0, 1).flatten(0, 1).permute(0, 3, 1, 2) / keep for mask in masks]

    def contrast(self) -> Mapping[str, Scores]:
        """Scores of proxy anomalies: held-out fakes of its own and the other levels, and displaced normals."""
        fake_level = CONTRAST[self.level]
        draws = Draws(derive_seed(self.seed, "contrast"), self.device, Parallel())
        count = max((len(fakes) for fakes in self.held_out.values()), default=HELD_OUT)
        fakes = {
            0: level_0(draws, (count, self.channels, self.side, self.side)),
            1: level_1(draws, torch.cat([self.train, self.val]), count),
        }
        banks = fakes | self.held_out
        scores = {f"{'own' if k == fake_level else 'other'}/P_{k}": self.score(images) for k, images in banks.items()}
        with torch.inference_mode():
            maps = (self.window_scores(part, self.displaced(draws, len(part))) for part in self.val.split(64))
            parts = [pooled(part, self.pooling) for part in maps]
        return scores | {"position/random": {f"level_{self.level}": torch.cat(parts).cpu().numpy()}}

    def state(self) -> State:
        return {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state(self, state: State) -> None:
        super().load_state(state)
        load_optimiser(self.optimiser, state["optimiser"])
