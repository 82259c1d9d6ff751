"""Training one generator G_k: patch adversary, entropy reward, and the bank of fakes it leaves behind."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.data.conform import as_channels
from workloads.learner import State, Tensors
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.entropy import derangement, entropy_weight, mutual_information
from workloads.mlsad.mrf import to_bytes, to_signed
from workloads.mlsad.networks.discriminator import PatchDiscriminator
from workloads.mlsad.networks.generator import Generator, SharedBatchNorm
from workloads.mlsad.networks.layers import at_once
from workloads.mlsad.statistics import StatisticsNetwork
from workloads.training.distributed import Draws, Parallel
from workloads.training.optimisers import descend, load_optimiser
from workloads.training.precision import computing_in
from workloads.training.seeds import derive_seed


class GeneratorLearner:
    """One adversarial step a batch: first Dg_k, then G_k and T together (section 2.2 of the paper).

    `images` fix shape and device; their number sets the length of the schedule.
    """

    def __init__(self, config: MLSADConfig, level: int, images: Tensor, seed: int, parallel: Parallel, steps: int):
        self.config, self.seed, self.parallel = config, seed, parallel
        self.total_steps, self.batch_size = steps, config.generator_batch_size
        self.device = images.device
        self.channels = 3 if config.grey_as_rgb else images.shape[1]
        self.side = images.shape[-1]
        if config.generator_batch_size % (4 * parallel.world):
            raise ValueError(f"generator_batch_size {self.batch_size} must be 4 times a multiple of {parallel.world}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "init"))
            width, norms = config.width, (config.generator_spectral_norm, config.generator_batch_norm)
            self.generator = Generator(self.side, self.channels, width, *norms).to(self.device)
            self.discriminator = PatchDiscriminator(level, self.channels, width, config.minibatch_stddev)
            self.discriminator.to(self.device)
            self.statistics = StatisticsNetwork(self.side, self.channels, width).to(self.device)
        for net in (self.generator, self.discriminator, self.statistics):
            net.to(memory_format=torch.channels_last)
        for module in self.generator.modules():
            if isinstance(module, SharedBatchNorm):
                module.parallel = parallel
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimisers = [
            torch.optim.Adam(net.parameters(), lr=lr, betas=config.adam_betas, fused=True)
            for net, lr in (
                (self.generator, config.generator_lr),
                (self.discriminator, config.discriminator_lr),
                (self.statistics, config.statistics_lr),
            )
        ]

    def computed(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        """The output in float32 of a network in the config's precision; its spectral norms are in float32."""
        with nn.utils.parametrize.cached():
            for module in net.modules() if self.config.precision == "bf16" else ():
                if nn.utils.parametrize.is_parametrized(module, "weight"):
                    _ = module.weight  # cached in float32 before convolutions ask for it
            with computing_in(self.config.precision, self.device):
                output: Tensor = net(*inputs).float()
        return output

    def judged(self, images: Tensor) -> Tensor:
        return self.computed(self.discriminator, images)

    def noise(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """This worker's z and, for each of its images, another image's z."""
        size = (self.batch_size, self.channels, self.side, self.side)
        whole = torch.randn(size, generator=draws.generator, device=self.device)
        offset = draws.integers(self.batch_size, (1,), low=1)
        return draws.mine(whole), draws.mine(whole[derangement(offset, self.batch_size)])

    def step(self, step: int, images: Tensor) -> Tensors:
        """`images`: this worker's rows, uint8. Returns losses, the information estimate in nats, and lambda (Eq. 8)."""
        draws = Draws(derive_seed(self.seed, step), self.device, self.parallel)
        real = to_signed(as_channels(images, self.channels))
        z, other = self.noise(draws)
        fake = self.computed(self.generator, z)
        d_loss = self.update_discriminator(real, fake.detach())
        return {"d_loss": d_loss} | self.update_generator(fake, z, other) | self.update_average(step)

    def update_discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        # cached: both batches see one set of normalised weights, so one power iteration a step
        with nn.utils.parametrize.cached():
            loss = F.softplus(-self.judged(real)).mean() + F.softplus(self.judged(fake)).mean()
        self.apply(self.optimisers[1], torch.autograd.grad(loss, list(self.discriminator.parameters())))
        return loss.detach()

    def update_generator(self, fake: Tensor, z: Tensor, other: Tensor) -> Tensors:
        """L_loc - lambda I (Eq. 2) for G, I for T. G's fakes are those the discriminator has just seen."""
        config = self.config
        weights, critics = list(self.generator.parameters()), list(self.statistics.parameters())
        local = F.softplus(-self.judged(fake)).mean()
        critic = self.computed(self.statistics, torch.cat([fake, fake]), torch.cat([z, other]))
        pairs = self.parallel.gather(critic.view(2, -1).T)
        information = mutual_information(pairs[:, 0], pairs[:, 1], config.mutual_information)
        target = weights if config.clip_wrt == "parameters" else [fake]
        g_local = torch.autograd.grad(local, target, retain_graph=True)
        g_entropy = torch.autograd.grad(-information, [*target, *critics], retain_graph=config.clip_wrt == "output")
        g_entropy, g_critics = g_entropy[: len(target)], g_entropy[len(target) :]
        if config.clip_wrt == "output":
            # each worker holds the gradients of its own images: Eq. 8 compares those of the whole batch
            self.parallel.average_(g_critics)
            weight = entropy_weight([self.parallel.gather(g_local[0])], [self.parallel.gather(g_entropy[0])])
        else:
            self.parallel.average_([*g_local, *g_entropy, *g_critics])
            weight = entropy_weight(g_local, g_entropy)
        total = [a + config.lambda_entropy * weight * b for a, b in zip(g_local, g_entropy, strict=True)]
        if config.clip_wrt == "output":
            total = list(torch.autograd.grad(fake, weights, total))
            self.parallel.average_(total)
        self.apply(self.optimisers[0], total, shared=True)
        self.apply(self.optimisers[2], g_critics, shared=True)
        return {"g_loss": local.detach(), "information": information.detach(), "lambda": weight.detach()}

    def apply(self, optimiser: torch.optim.Optimizer, gradients: Any, shared: bool = False) -> None:
        """One optimiser step with the gradients averaged over the workers (unless they already are)."""
        if not shared:
            self.parallel.average_(gradients)
        descend(optimiser, gradients)

    @torch.no_grad()
    def update_average(self, step: int) -> Tensors:
        decay = min(self.config.generator_ema, (1 + step) / (10 + step)) if self.config.generator_ema else 0.0
        latest, means = self.generator.state_dict(), self.average.state_dict()
        # unit vectors do not average
        averaged = [k for k, mean in means.items() if mean.is_floating_point() and not k.endswith(("._u", "._v"))]
        others = [name for name in means if name not in averaged]
        torch._foreach_lerp_([means[name] for name in averaged], [latest[name] for name in averaged], 1 - decay)
        if others:
            torch._foreach_copy_([means[name] for name in others], [latest[name] for name in others])
        return {}

    @torch.no_grad()
    def artifact(self) -> Tensors:
        """`fakes`: uint8 (bank_size, C, S, S), C as the networks have; the averaged generator's weights beside them."""
        draws = Draws(derive_seed(self.seed, "bank"), self.device, Parallel())
        size = (self.channels, self.side, self.side)
        block = at_once(256, self.side)
        parts = [
            to_bytes(self.average(draws.normal((min(block, self.config.bank_size - i), *size))))
            for i in range(0, self.config.bank_size, block)
        ]
        weights = {f"generator.{k}": v for k, v in self.average.state_dict().items()}
        return {"fakes": torch.cat(parts)} | weights

    def state(self) -> State:
        nets = {"g": self.generator, "d": self.discriminator, "t": self.statistics, "average": self.average}
        return {
            "nets": {name: net.state_dict() for name, net in nets.items()},
            "optimisers": [o.state_dict() for o in self.optimisers],
        }

    def load_state(self, state: State) -> None:
        nets = {"g": self.generator, "d": self.discriminator, "t": self.statistics, "average": self.average}
        for name, net in nets.items():
            net.load_state_dict(state["nets"][name])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            load_optimiser(optimiser, saved)
