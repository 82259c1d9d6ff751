"""Groups of images scored with a trained flow: latents, what is fitted to them, and made anomalies to select by."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workloads.data.conform import conform
from workloads.data.view import TargetView
from workloads.errors import UserError
from workloads.flows.architecture import Architecture
from workloads.flows.artifact import unpacked
from workloads.flows.bits import bin_centres
from workloads.flows.scorer import BATCH, exact
from workloads.flows.scores.complexity import code_length
from workloads.flows.scores.densities import Densities, in_float32
from workloads.klods.calibration import correlate
from workloads.klods.flow_config import KlodsFlowConfig
from workloads.klods.groups import Members, form, normal_groups
from workloads.klods.scoring import Fitted, Prepared, fit
from workloads.klods.statistics.complexity import complexity, complexity_only
from workloads.klods.statistics.gaussian import Whitening
from workloads.learner import GroupScores, Scores, State, Tensors
from workloads.scoring.table import FAILED


@dataclass(frozen=True)
class Encoded:
    """Latents (N, C_i, H_i, W_i) float32 a level, log p (N,) float64 in nats, and which images failed (N,).

    lengths: of the images' files, (N,) float64 in bits/dim; NaN where nobody asked, for it takes time to write them.
    A flow that gives an image no finite density has no latents of it either: they are 0, and whatever group the image
    is in has failed, too.
    """

    levels: Sequence[Tensor]
    log_prob: Tensor
    failed: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, levels: Sequence[Tensor], log_prob: Tensor) -> "Encoded":
        finite = torch.stack([level.flatten(1).isfinite().all(1) for level in levels]).all(0) & log_prob.isfinite()
        kept = [level.where(finite.view(-1, 1, 1, 1), 0) for level in levels]
        return cls(kept, log_prob.where(finite, 0), ~finite, torch.full_like(log_prob, torch.nan))

    def __len__(self) -> int:
        return len(self.failed)

    def good(self) -> list[Tensor]:
        """The latents of the images that did not fail."""
        return [level[~self.failed] for level in self.levels]

    def joined(self, other: "Encoded") -> "Encoded":
        return Encoded(
            [torch.cat(pair) for pair in zip(self.levels, other.levels, strict=True)],
            torch.cat([self.log_prob, other.log_prob]),
            torch.cat([self.failed, other.failed]),
            torch.cat([self.lengths, other.lengths]),
        )

    def correlated(self, rho: float) -> "Encoded":
        """The made anomalies of these images; log p stays, for the change keeps the density under the prior."""
        return replace(self, levels=[correlate(level, rho).to(level.dtype) for level in self.levels])


class GroupScorer:
    """A flow's artifact and, once a state is loaded, what was fitted to its training latents."""

    fitted: Fitted

    def __init__(self, config: KlodsFlowConfig, device: torch.device, flow: Mapping[str, Any]) -> None:
        self.config, self.device = config, device
        self.net = unpacked(flow, device)
        self.architecture = Architecture(**flow["architecture"])

    def load_state(self, state: State) -> None:
        """Take what was fitted from a learner's state."""
        tensors = {key: tuple(part.to(self.device) for part in state[key]) for key in ("shapes", "directions")}
        self.fitted = Fitted(
            config=self.config,
            used=tuple(state["used"]),
            whitenings=tuple(
                Whitening(moments["mean"].to(self.device), moments["factor"].to(self.device))
                for moments in state["whitenings"]
            ),
            reference=state["reference"].to(self.device),
            entropy=state["entropy"],
            **tensors,
        )

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Encoded:
        """Of uint8 images (N, 1 or 3, H, W), without noise. Raises UserError for what is no image."""
        if not len(images):
            empty = torch.zeros(0, device=self.device)
            return Encoded.of([empty.view(0, *shape) for shape in self.net.shapes], empty.double())
        images = conform(images.to(self.device), self.architecture.shape)
        with exact():
            terms = [self.net(bin_centres(part)) for part in images.split(BATCH)]
        log_prob = torch.cat([Densities.of(part).log_prob for part in terms]).to(self.device)
        encoded = Encoded.of([torch.cat(parts) for parts in zip(*(t.latents for t in terms), strict=True)], log_prob)
        if failed := int(encoded.failed.sum()):
            message = f"{failed} of {len(images)} images have no finite latents: their groups are the most anomalous"
            warnings.warn(message, stacklevel=2)
        return encoded

    def measured(self, images: Tensor) -> Encoded:
        """`encode`, and the lengths of the images' files. Raises UserError also for a codec that is not there."""
        encoded = self.encode(images)
        lengths = code_length(conform(images, self.architecture.shape), self.config.complexity_codec)
        return replace(encoded, lengths=lengths.to(self.device))

    def score(self, images: Tensor) -> Scores:
        """Every image a group of its own: parts ``NAME/1``, (N,) float32. Raises UserError as `Fitted.check`."""
        if not len(images):
            return {}
        self.fitted.check([1])
        return self.by_size(self.measured(images), [np.arange(len(images))[:, None]])

    def score_groups(self, held_out: Tensor, normal: Tensor, anomalous: Mapping[str, Tensor]) -> GroupScores:
        """Parts ``NAME/SIZE`` of every group size; a size that a set of images cannot fill is left out."""
        normals = self.measured(normal)
        by_split = {}
        for split, images in anomalous.items():
            both = normals.joined(self.measured(images))
            groups = [self.anomalous(len(normals), len(images), size, split) for size in self.sizes]
            by_split[split] = self.by_size(both, groups)
        return GroupScores(self.of_normals(self.measured(held_out)), self.of_normals(normals), by_split)

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.config.group_sizes

    def of_normals(self, images: Encoded) -> Scores:
        """Every size's groups of images that are alike in kind: normal ones, or anomalies made of them."""
        seed, share = self.config.group_seed, self.config.contamination
        return self.by_size(images, [filled(normal_groups, len(images), size, seed, share) for size in self.sizes])

    def anomalous(self, normals: int, anomalies: int, size: int, name: str) -> Members | None:
        groups = filled(form, normals, anomalies, size, self.config.group_seed, name, self.config.contamination)
        return groups and groups.anomalous

    def by_size(self, images: Encoded, groups: Sequence[Members | None]) -> Scores:
        """All parts of all groups, (G,) float32 each."""
        if not len(images):
            return {}
        prepared = self.fitted.prepare(images.levels, images.log_prob)
        return {
            f"{part}/{members.shape[1]}": values
            for members in groups
            if members is not None
            for part, values in self.parts(images, prepared, members).items()
        }

    def parts(self, images: Encoded, prepared: Prepared, members: Members) -> Scores:
        rows = torch.from_numpy(members).to(self.device)
        failed = images.failed[rows].any(1).cpu()
        values = self.architecture.shape.values
        tensors = {part: torch.from_numpy(scores) for part, scores in prepared.scores(members)}
        tensors["complexity"] = complexity(images.log_prob, images.lengths, rows, values).cpu()
        tensors = {part: scores.masked_fill(failed, FAILED) for part, scores in tensors.items()}
        tensors["complexity_only"] = complexity_only(images.lengths, rows).cpu()  # no flow that could fail
        return {part: in_float32(scores).numpy() for part, scores in tensors.items()}


class MomentsLearner(GroupScorer):
    """The whole of a trial's training: what is fitted to the latents of all training images, once, when first needed.

    So an early rung of a search, before the one step, has the same scores as the last.
    """

    total_steps = 1

    def __init__(self, config: KlodsFlowConfig, view: TargetView, flow: Mapping[str, Any]) -> None:
        super().__init__(config, view.device, flow)
        self.view, self.batch_size = view, config.batch_size

    @cached_property
    def fitted(self) -> Fitted:  # type: ignore[override]
        """Images that fail are left out. Raises UserError where too few are left, or they do not vary."""
        encoded = self.encode(self.view.train)
        return fit(encoded.good(), self.config, encoded.log_prob[~encoded.failed])

    def step(self, step: int, images: Tensor) -> Tensors:  # noqa: ARG002 - of all images, not of a batch
        """Logs the training images' mean NLL in nats."""
        return {"nll": torch.tensor(self.fitted.entropy)}

    def contrast(self) -> Mapping[str, Scores]:
        """Held-out images with correlated neighbours in their latents: what selection takes for anomalies."""
        made = self.measured(self.view.val).correlated(self.config.shift)
        return {f"shift/{self.config.shift:g}": self.of_normals(made)}

    def state(self) -> State:
        fitted = self.fitted
        return {
            "shapes": list(fitted.shapes),
            "used": list(fitted.used),
            "whitenings": [vars(whitening) for whitening in fitted.whitenings],
            "directions": list(fitted.directions),
            "reference": fitted.reference,
            "entropy": fitted.entropy,
        }


def filled(formed: Callable[..., Any], *values: Any) -> Any:
    """What `formed` makes of the values, None where there are too few images for a group."""
    try:
        return formed(*values)
    except UserError:
        return None
