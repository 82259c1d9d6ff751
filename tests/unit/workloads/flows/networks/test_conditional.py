"""Class-conditional flows: log p(x) marginalises the classes exactly, and contributions still add up to it."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from tests.helpers.flows import images, made
from workloads.flows.architecture import Architecture, parameters
from workloads.flows.networks.build import build
from workloads.flows.networks.conditional import ConditionalFlow

CLASSES = 4
TINY = Architecture("glow", 3, 8, scales=2, steps=2, hidden=6, classes=CLASSES)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def flow() -> ConditionalFlow:
    net = made(TINY, size=0.03)
    assert isinstance(net, ConditionalFlow)
    return net


def brute_force(net: ConditionalFlow, x: Tensor) -> Tensor:
    """(B, classes) log p(x | y) with torch's own Gaussians."""
    flows, tails, latents = net.encode(x)
    z = torch.cat([z.flatten(1) for z in latents], 1)
    heads = [Independent(Normal(m, s.exp()), 1).log_prob(z) for m, s in zip(net.mean, net.log_std, strict=True)]
    return torch.stack(heads, 1) + (flows + tails).sum(1, keepdim=True)


def average(classes: Tensor) -> Tensor:
    """(B,) log of the mean over classes of exp: float64 holds the densities once their largest is taken off."""
    top = classes.max()
    return (classes - top).exp().mean(1).log() + top


def test_class_densities_and_their_marginal_are_those_of_brute_force() -> None:
    net, x = flow(), images(6, 3, 8, seed=4)
    classes = brute_force(net, x)
    torch.testing.assert_close(net.class_log_prob(x), classes)
    torch.testing.assert_close(net(x).log_prob, average(classes))


def test_contributions_share_the_posterior_of_the_whole_image() -> None:
    net, x = flow(), images(6, 3, 8, seed=4)
    terms, heads = net(x), net.heads(net.encode(x).latents)
    posterior = brute_force(net, x).softmax(1)
    averages = torch.einsum("bsc,bc->bs", heads, posterior)
    rest = terms.latent - averages
    divergence = (posterior * (posterior.log() + math.log(CLASSES))).sum(1)
    torch.testing.assert_close(rest.sum(1), -divergence)
    torch.testing.assert_close(rest[:, 0], rest[:, 1])


def test_equal_classes_give_the_flow_without_classes() -> None:
    torch.manual_seed(0)
    net, plain = build(TINY), build(replace(TINY, classes=0))
    x = images(16, 3, 8)
    plain.initialise(x)
    missing, unexpected = net.load_state_dict(plain.state_dict(), strict=False)
    assert set(missing) == {"mean", "log_std"}
    assert not unexpected
    torch.testing.assert_close(net(x).contributions, plain(x).contributions)


def test_heads_cost_two_numbers_a_class_and_dimension() -> None:
    assert parameters(TINY) == sum(p.numel() for p in build(TINY).parameters())
    assert parameters(TINY) - parameters(replace(TINY, classes=0)) == 2 * CLASSES * 3 * 8 * 8


def test_gradients_of_the_marginal_are_those_of_brute_force() -> None:
    net, x = flow(), images(6, 3, 8, seed=4)
    weights = list(net.parameters())
    found = torch.autograd.grad(net(x).log_prob.sum(), weights)
    expected = torch.autograd.grad(average(brute_force(net, x)).sum(), weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_samples_come_from_the_classes_gaussians() -> None:
    net = flow()
    with torch.no_grad():
        net.mean.copy_(torch.arange(CLASSES, dtype=torch.float64)[:, None].expand_as(net.mean))
        net.log_std.fill_(math.log(0.01))
    x = net.sample(12, torch.Generator().manual_seed(0))
    assert x.shape == (12, 3, 8, 8)
    z = torch.cat([z.flatten(1) for z in net(x).latents], 1)
    nearest = z.mean(1).round()
    assert (z - nearest[:, None]).abs().max() < 0.06
    assert set(nearest.tolist()) <= set(range(CLASSES))
    assert len(set(nearest.tolist())) > 1
    torch.testing.assert_close(net.class_log_prob(x).argmax(1).double(), nearest)
    cold = net.sample(12, torch.Generator().manual_seed(0), temperature=0.0)
    torch.testing.assert_close(net(cold).latents[0][0], nearest[0].expand(net.shapes[0]), atol=1e-6, rtol=0)
