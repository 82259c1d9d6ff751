"""Two methods from outside the tree: an autoencoder that learns step by step, and a Gaussian that is fitted in one go.

docs/own-method.md explains them; own_space.py and own_fitted_space.py run them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from workloads.keys import key
from workloads.method import FittedMethod, Method


@dataclass(frozen=True)
class AutoencoderConfig:
    width: int = key(16, schedule=True, above=0)  # channels of the first layer
    bottleneck: int = key(8, above=0)  # channels of the smallest layer
    epochs: float = key(100.0, schedule=True, above=0)
    batch_size: int = key(32, above=0)
    lr: float = key(1e-3, above=0)
    seed: int = key(0)


def network(channels, width, bottleneck):
    """Three strided convolutions down to an eighth of each side, and back to pixels in [0, 1]."""
    return nn.Sequential(
        *(nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(2 * width, bottleneck, 3, 2, 1), nn.ReLU()),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(bottleneck, 2 * width, 3, 1, 1), nn.ReLU()),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, width, 3, 1, 1), nn.ReLU()),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(width, channels, 3, 1, 1), nn.Sigmoid()),
    )


class Reconstruction:
    """The mean squared error of an image's reconstruction is its score, and training's loss."""

    def __init__(self, config, channels, device, steps=0):
        self.net = network(channels, config.width, config.bottleneck).to(device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), config.lr)
        self.total_steps, self.batch_size, self.device = steps, config.batch_size, device

    def errors(self, images):
        x = images.to(self.device).float() / 255
        made = nn.functional.interpolate(self.net(x), x.shape[2:])  # a side may be no multiple of 8
        return (made - x).square().mean((1, 2, 3))

    def step(self, step, images):
        self.optimiser.zero_grad()
        loss = self.errors(images).mean()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.detach()}

    def state(self):
        return {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state(self, state):
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])

    @torch.no_grad()
    def score(self, images):
        return {"error": torch.cat([self.errors(part) for part in images.split(256)]).cpu().numpy()}


class Autoencoder(Method):
    name, Config = "autoencoder", AutoencoderConfig

    def learner(self, unit, view, stages, parallel):
        torch.manual_seed(self.seed(unit))
        steps = round(self.config.epochs * len(view.train) / self.config.batch_size)
        return Reconstruction(self.config, view.shape.channels, view.device, max(1, steps))

    def scorer(self, unit, shape, stages, device):
        return Reconstruction(self.config, shape.channels, device)


@dataclass(frozen=True)
class GaussianConfig:
    components: int = key(16, above=0)
    seed: int = key(0)


class Gaussian(FittedMethod):
    """The squared Mahalanobis distance of an image to the normal ones, in principal components, a component."""

    name, Config = "gaussian", GaussianConfig

    def fit(self, images):
        x = images.flatten(1).double() / 255
        mean = x.mean(0)
        _, spread, axes = torch.linalg.svd(x - mean, full_matrices=False)
        kept = min(self.config.components, int((spread > 1e-6 * spread[0]).sum()))
        return {"mean": mean, "axes": axes[:kept] * len(x) ** 0.5 / spread[:kept, None]}

    def score(self, fitted, images):
        x = images.flatten(1).double() / 255 - fitted["mean"]
        return (x @ fitted["axes"].T).square().mean(1)
