"""Trials of one detector that differ in scalars alone, trained as one program on the same draws.

Weight decay, noise and both lambdas of Table 10 change no shape: of the published 864 points, 108 share one. Stacked, M
trials cost one program's launches instead of M, which is what small batches are made of on a GPU. On a CPU they train
slower than one by one (0.5 to 0.7 times, tests/benchmarks/test_detector_step.py), so workers do not stack.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from workloads.learner import Tensors
from workloads.mlsad.contrast import DetectorLearner
from workloads.mlsad.networks.detector import contrast_loss
from workloads.training.optimisers import aligned, descend
from workloads.training.precision import computing_in

SCALARS = ("weight_decay", "noise", "lambda_structure", "lambda_position")
"""Keys of the config in which stacked trials may differ."""


class StackedDetectors:
    """M learners of one unit as one; they are left where they were until `unstack`.

    Learners must share level, seed, images, schedule and all of the config but `SCALARS`, and stand at the same step.
    Raises ValueError where config, level, seed or schedule differ.
    """

    def __init__(self, learners: Sequence[DetectorLearner]) -> None:
        self.learners, self.first = learners, learners[0]
        if any(common(learner) != common(self.first) for learner in learners):
            raise ValueError(f"stacked detectors may differ in {', '.join(SCALARS)} alone")
        self.weights, _ = stack_module_state([learner.net for learner in learners])
        self.decay, noise, structure, position = (self.column(key) for key in SCALARS)
        self.scalars = noise.sqrt(), structure, position
        # decay is a gradient of its own, as every trial has another
        self.optimiser = torch.optim.Adam(self.weights.values(), lr=self.first.config.detector_lr, fused=True)
        for i, weight in enumerate(self.weights.values()):
            self.stack_moments(i, weight)

    def column(self, key: str) -> Tensor:
        values = [getattr(learner.config, key) for learner in self.learners]
        return torch.tensor(values, device=self.first.device)

    def stack_moments(self, i: int, weight: Tensor) -> None:
        """What the learners' optimisers know of their i-th weight, if they have made a step."""
        states = [learner.optimiser.state[own_weight(learner, i)] for learner in self.learners]
        if not states[0]:
            return
        self.optimiser.state[weight] = {"step": states[0]["step"].clone()} | {
            name: aligned(torch.stack([state[name] for state in states]), weight) for name in ("exp_avg", "exp_avg_sq")
        }

    def step(self, step: int, images: Tensor) -> list[Tensors]:
        """As M calls of `DetectorLearner.step`: one draw of everything random, M losses, M updates."""
        first = self.first
        batch = first.drawn(step, images)

        def loss(weights: Tensors, noise: Tensor, structure: Tensor, position: Tensor) -> Tensor:
            with computing_in(first.config.precision, first.device):
                logits = functional_call(first.net, weights, (batch.noisy(noise), batch.place, batch.masks))
            normal, fake, displaced = logits.float().chunk(3)
            return contrast_loss(normal, fake, displaced, structure, position)

        gradients, losses = vmap(grad_and_value(loss))(self.weights, *self.scalars)
        averaged = list(gradients.values())
        first.parallel.average_(averaged)
        with torch.no_grad():
            for gradient, weight in zip(averaged, self.weights.values(), strict=True):
                gradient += self.decay.view(-1, *[1] * (weight.dim() - 1)) * weight
        self.optimiser.param_groups[0]["lr"] = first.learning_rate(step)
        descend(self.optimiser, averaged)
        return [{"loss": value} for value in losses.detach()]

    @torch.no_grad()
    def unstack(self) -> None:
        """Hand every learner its weights and moments: from here on it goes on alone, or is saved and scored."""
        for m, learner in enumerate(self.learners):
            for i, weight in enumerate(self.weights.values()):
                mine = own_weight(learner, i)
                mine.copy_(weight[m])
                state = self.optimiser.state[weight]
                learner.optimiser.state[mine] = {"step": state["step"].clone()} | {
                    name: aligned(state[name][m], mine).clone(memory_format=torch.preserve_format)
                    for name in ("exp_avg", "exp_avg_sq")
                }


def common(learner: DetectorLearner) -> tuple[object, ...]:
    """What stacked learners must agree on."""
    config = {key: value for key, value in vars(learner.config).items() if key not in SCALARS}
    return config, learner.level, learner.seed, learner.total_steps


def own_weight(learner: DetectorLearner, i: int) -> Tensor:
    weight: Tensor = learner.optimiser.param_groups[0]["params"][i]
    return weight
