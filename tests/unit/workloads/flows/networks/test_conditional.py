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
from workloads.flows.scores.densities import Densities, density_scores

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
    """(B, classes) log p(x | y): each class's actnorm, its log-determinant, and torch's own Gaussian."""
    flows, tails, latents = net.encode(x)
    z = torch.cat([z.flatten(1) for z in latents], 1)
    heads = [
        Independent(Normal(mean, log_std.exp()), 1).log_prob((z + shift) * log_scale.exp()) + log_scale.sum()
        for shift, log_scale, mean, log_std in zip(net.shift, net.log_scale, net.mean, net.log_std, strict=True)
    ]
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
    assert set(missing) == {"shift", "log_scale", "mean", "log_std"}
    assert not unexpected
    torch.testing.assert_close(net(x).contributions, plain(x).contributions)


def test_flows_of_earlier_runs_have_heads_whose_actnorm_does_nothing() -> None:
    net = flow()
    state = {name: value for name, value in net.state_dict().items() if name not in ("shift", "log_scale")}
    earlier = build(TINY)
    earlier.load_state_dict(state)
    assert not earlier.shift.any()
    assert not earlier.log_scale.any()
    assert torch.equal(earlier.mean, net.mean)


def test_a_step_of_adamax_moves_a_class_twice_as_far_as_one_pair_of_tensors_would() -> None:
    """Two diagonal affine maps, each moved by the rate: what the authors' four tensors are for."""
    torch.manual_seed(0)
    net, rate = build(TINY), 1e-3
    net.initialise(images(16, 3, 8))
    x = images(16, 3, 8, seed=4)  # of the first ones all gradients of the heads are 0
    optimiser = torch.optim.Adamax([net.shift, net.log_scale, net.mean, net.log_std], lr=rate)
    (-net.class_log_prob(x)[:, 0].mean()).backward()
    optimiser.step()
    with torch.no_grad():
        mean, log_std = net.gaussian()
    torch.testing.assert_close(mean[0].abs(), torch.full_like(mean[0], 2 * rate), rtol=0.01, atol=0)
    torch.testing.assert_close(log_std[0].abs(), torch.full_like(mean[0], 2 * rate), rtol=0.01, atol=0)


def test_classes_marginalised_within_each_scale_stand_beside_the_exact_ones() -> None:
    net, x = flow(), images(6, 3, 8, seed=4)
    with torch.no_grad():
        encoded = net.encode(x)
        terms, heads = net(x), net.heads(encoded.latents)
    expected = [average(heads[:, scale]) for scale in range(2)]
    torch.testing.assert_close(terms.marginal, torch.stack(expected, 1))
    scores = density_scores(Densities.of(terms), None, torch.zeros(6), 3 * 8 * 8)
    parts = encoded.flow + encoded.tail + torch.stack(expected, 1)
    named = {"scale_1_marginal": -parts[:, 0], "final_scale_marginal": -parts[:, 1]}
    named["likelihood_marginal"] = 8 - parts.sum(1) / (3 * 8 * 8 * math.log(2))
    for name, values in named.items():
        torch.testing.assert_close(torch.from_numpy(scores[name]), values.float())
    assert not {name for name in scores if name.endswith("_marginal")} - set(named)


def test_heads_cost_four_numbers_a_class_and_dimension() -> None:
    assert parameters(TINY) == sum(p.numel() for p in build(TINY).parameters())
    assert parameters(TINY) - parameters(replace(TINY, classes=0)) == 4 * CLASSES * 3 * 8 * 8


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
        net.shift.zero_()
        net.log_scale.zero_()
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
