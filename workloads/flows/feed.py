"""What a flow sees in a step: augmented and noised images, their labels, and auxiliary images as outliers."""

from typing import NamedTuple

from torch import Tensor

from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.flows.augment import augmented
from workloads.flows.bits import dequantise
from workloads.flows.config import FlowConfig
from workloads.training.batches import batch_rows, order_seed
from workloads.training.distributed import Draws, Parallel
from workloads.training.seeds import derive_seed
from workloads.units import Unit


class FlowBatch(NamedTuple):
    """This worker's rows of a step. Row i of each belongs together: a normal image and a general one, where there are.

    images: float32 (b, C, S, S), noised. labels: int64 (b,) or None. outliers: as `images`, or None.
    """

    images: Tensor
    labels: Tensor | None
    outliers: Tensor | None

    def rows(self, chosen: Tensor) -> "FlowBatch":
        labels, outliers = (None if part is None else part[chosen] for part in (self.labels, self.outliers))
        return FlowBatch(self.images[chosen], labels, outliers)


def require_fitting(config: FlowConfig, view: TargetView) -> None:
    """Raises UserError where labels or auxiliary images are missing or do not fit what the config asks."""
    if config.supervised and (view.labels is None or len(view.classes) < 2):
        raise UserError(
            f"a class-conditional flow needs the labels of two classes or more, found {len(view.classes)}",
            where="supervised",
            fix="train on all classes together, or set supervised to false",
        )
    if view.auxiliary is None:
        if config.outlier_loss != "none":
            raise UserError(
                "the outlier loss needs auxiliary images, and the data names no auxiliary set",
                where="outlier_loss",
                fix="name an auxiliary set, or set outlier_loss to 'none'",
            )
        return
    auxiliary, normal = view.auxiliary[0].shape[1:], view.train.shape[1:]
    if auxiliary != normal:
        raise UserError(f"auxiliary images are {tuple(auxiliary)}, the normal ones {tuple(normal)}", "data.auxiliary")


class Feed:
    """The batches of one unit, a function of its seed and the step, whatever the number of workers."""

    def __init__(self, config: FlowConfig, unit: Unit, view: TargetView, parallel: Parallel) -> None:
        require_fitting(config, view)
        self.config, self.view, self.parallel = config, view, parallel
        self.seed, self.order = derive_seed(config.seed, unit), order_seed(config.seed, unit)
        self.device, self.size = view.device, config.batch_size

    def noised(self, images: Tensor, draws: Draws, batch: int, flip: bool) -> Tensor:
        """This worker's rows of a batch, uint8, as the flow sees them in training: float32 in [-.5, .5)."""
        moved = augmented(images, draws, batch, self.config.translate, flip)
        return dequantise(moved, draws.uniform((batch, *images.shape[1:])))

    def first(self) -> Tensor:
        """All images of `init_batches` batches, for actnorms to start from; the same on every worker."""
        count, train = self.config.init_batches * self.size, self.view.train
        draws = Draws(derive_seed(self.seed, "first images"), self.device, Parallel())
        rows = batch_rows(derive_seed(self.seed, "first order"), 0, count, len(train))
        return self.noised(train[rows.to(self.device)], draws, count, self.config.flip)

    def batch(self, step: int, images: Tensor) -> FlowBatch:
        """images: this worker's rows of the step's normal images, uint8."""
        draws = Draws(derive_seed(self.seed, step), self.device, self.parallel)
        normal, labels, outliers = self.noised(images, draws, self.size, self.config.flip), None, None
        if self.config.supervised and self.view.labels is not None:
            labels = self.rows(self.view.labels, self.order, step)
        if self.config.outlier_loss != "none" and self.view.auxiliary is not None:
            outliers = self.noised(
                self.outliers(self.view.auxiliary[0], step), draws, self.size, self.config.general_flip
            )
        return FlowBatch(normal, labels, outliers)

    def outliers(self, held: Tensor, step: int) -> Tensor:
        """This worker's rows of a step's auxiliary images, out of those held or out of the stream."""
        seed = derive_seed(self.seed, "outliers")
        if self.view.stream is not None:
            return self.view.stream.batch(seed, self.size, step, self.parallel)
        return self.rows(held, seed, step)

    def rows(self, pool: Tensor, seed: int, step: int) -> Tensor:
        """This worker's rows of a step's batch from a pool that is seen in a seed's order."""
        chosen = batch_rows(seed, step, self.size, len(pool), pool.device)[self.parallel.rows(self.size)]
        return pool[chosen].to(self.device)
