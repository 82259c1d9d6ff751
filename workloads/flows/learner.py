"""Training one flow: by maximum likelihood, held against auxiliary images, or a density a class."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from workloads.data.view import TargetView
from workloads.flows.artifact import packed, require_same_body
from workloads.flows.bits import bits_per_dim
from workloads.flows.config import FlowConfig, architecture
from workloads.flows.feed import Feed, FlowBatch
from workloads.flows.networks.build import build
from workloads.flows.objective import losses
from workloads.flows.scorer import FlowScorer, densities
from workloads.learner import Scores, State, Tensors
from workloads.training.distributed import Parallel
from workloads.training.optimisers import descend, load_optimiser
from workloads.training.seeds import derive_seed
from workloads.units import Unit

VALIDATION = 128
"""Held-out images whose bits/dim is logged about ten times in a schedule."""


class FlowLearner(FlowScorer):
    """One step a batch with Adamax. Images without a finite likelihood are left out of their step, and a step without
    finite gradients is skipped; both are counted.

    view: `auxiliary` is read where there is an outlier loss and for the scores to be selected by, `labels` where the
    flow is class-conditional. general: the artifact of the general flow, None without. Raises UserError where
    images, labels or the general flow do not fit the config.
    """

    def __init__(
        self,
        config: FlowConfig,
        unit: Unit,
        view: TargetView,
        parallel: Parallel,
        steps: int,
        general: Mapping[str, Any] | None = None,
    ) -> None:
        classes = len(view.classes) if config.supervised else 0
        self.architecture = architecture(config, view.shape.channels, view.shape.side, classes)
        if general is not None:
            require_same_body(general, self.architecture, "the general flow")
        super().__init__(config, view.device, general)
        self.feed, self.view, self.parallel = Feed(config, unit, view, parallel), view, parallel
        self.total_steps, self.batch_size = steps, config.batch_size
        self.counts = {"skipped": 0, "skipped_in_a_row": 0, "dropped": 0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.feed.seed, "init"))
            self.net = build(self.architecture).to(self.device)
        if self.general is not None and config.from_general:
            self.net.load_state_dict(self.net.state_dict() | self.general.state_dict())
        else:
            self.net.initialise(self.feed.first())
            parallel.agree_(self.net.state_dict().values())  # GPUs add in varying order
        self.optimiser = torch.optim.Adamax(
            self.net.parameters(), lr=config.lr, weight_decay=config.weight_decay, foreach=True
        )

    def step(self, step: int, images: Tensor) -> Tensors:
        """`images`: this worker's rows of the batch, uint8. Logs bits/dim of the augmented, noised images, the outlier
        loss where there is one, and how many steps were skipped and rows dropped so far.

        Rows that are not finite are dropped and the others done again, while more than a quarter of the batch is left.
        Raises FloatingPointError after `skip_limit` steps in a row without finite gradients.
        """
        self.net.train()
        batch, keep, count = (
            self.feed.batch(step, images),
            torch.arange(len(images), device=self.device),
            self.batch_size,
        )
        while True:
            gradients, sums, finite = self.gradients(batch, keep, count)
            bad, log_prob, outlier, norm = torch.cat([sums, get_total_norm(gradients)[None]]).tolist()
            if not bad:
                break
            keep, count = keep[finite], count - round(bad)
            self.counts["dropped"] += round(bad)
            if 4 * count <= self.batch_size:
                break
        if bad or not isfinite(norm):
            self.skip(step)
        else:
            self.counts["skipped_in_a_row"] = 0
            self.optimiser.param_groups[0]["lr"] = self.learning_rate(step)
            descend(self.optimiser, gradients)
        logs: dict[str, float] = {name: self.counts[name] for name in ("skipped", "dropped")}
        if not bad:
            logs["bits_per_dim"] = bits_per_dim(log_prob / count, images[0].numel())
            logs |= {"outlier_loss": outlier / count} if batch.outliers is not None else {}
        return {name: torch.tensor(value) for name, value in (logs | self.validation(step)).items()}

    def gradients(self, batch: FlowBatch, keep: Tensor, count: int) -> tuple[list[Tensor], Tensor, Tensor]:
        """Gradients of the loss over the rows `keep`, divided by the `count` that all workers keep together.

        The rows go through the flow in `accumulate` pieces. Beside the gradients: sums over all workers of (rows not
        finite, log p, outlier loss), and which of this worker's `keep` are finite.
        """
        self.optimiser.zero_grad(set_to_none=True)
        sums, finites = torch.zeros(3, device=self.device), [keep.new_zeros(0, dtype=torch.bool)]
        for rows in keep.tensor_split(self.config.accumulate):
            if not len(rows):
                continue
            terms = losses(self.config, self.net, self.general, batch.rows(rows))
            ((terms.normal + terms.outlier).sum() / count).backward()
            finite = terms.finite()
            values = [~finite, terms.log_prob.where(finite, 0), terms.outlier.detach().where(finite, 0)]
            sums += torch.stack(values).sum(1)
            finites.append(finite)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.net.parameters()]
        self.parallel.sum_([*gradients, sums])
        return gradients, sums, torch.cat(finites)

    def skip(self, step: int) -> None:
        for name in ("skipped", "skipped_in_a_row"):
            self.counts[name] += 1
        if self.counts["skipped_in_a_row"] >= self.config.skip_limit:
            raise FloatingPointError(
                f"{self.config.skip_limit} steps in a row, up to step {step}, had no finite gradients: the flow has "
                "diverged; try warmup_steps of 500 to 2000, a lower lr, or another seed"
            )

    def learning_rate(self, step: int) -> float:
        warm = self.config.warmup_steps
        return self.config.lr * (min(1.0, (step + 1) / warm) if warm else 1.0)

    def validation(self, step: int) -> dict[str, float]:
        """Bits/dim of the first held-out images, without noise, now and then; workers share them."""
        every = 5 * max(1, self.total_steps // 50)  # a multiple of the steps whose logs are kept
        images = self.view.val[:VALIDATION]
        if step % every and step != self.total_steps - 1:
            return {}
        log_prob = densities(self.net, images[self.parallel.rows(len(images))]).log_prob.to(self.device)
        finite = log_prob.isfinite()
        sums = torch.stack([finite.sum(dtype=log_prob.dtype), log_prob.where(finite, 0).sum()])
        self.parallel.sum_([sums])
        count, total = sums.tolist()
        return {"val_bits_per_dim": bits_per_dim(total / count, images[0].numel())} if count else {}

    def contrast(self) -> Mapping[str, Scores]:
        """Held-out images of the auxiliary set are the proxy anomalies: no outlier loss has seen them."""
        if self.view.auxiliary is None or not len(self.view.auxiliary[1]):
            return {}
        return {"general/val": self.score(self.view.auxiliary[1])}

    def artifact(self) -> State:
        return packed(self.net, self.architecture)

    def state(self) -> State:
        return self.artifact() | {"optimiser": self.optimiser.state_dict(), "counts": self.counts}

    def load_state(self, state: State) -> None:
        self.net.load_state_dict(state["net"])
        load_optimiser(self.optimiser, state["optimiser"])
        self.counts = dict(state["counts"])
