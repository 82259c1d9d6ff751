"""normflows, a Glow written by others, gives the same outputs and the same densities for the same weights.

What differs by convention is turned round while weights are copied. Its layers are defined from latents to data and
are called backwards here; so its actnorm is (z - t) exp(-s), its coupling (z - t) s, its hidden norm z exp(s) + t.
It has neither the gain exp(3 g) of the last convolution (folded into the weights) nor tail actnorms (its prior is a
Gaussian with mean -shift and deviation 1 / scale instead, which is the same density).
"""

from collections.abc import Iterator

import normflows as nf
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.flows import images, made
from workloads.flows.architecture import Architecture
from workloads.flows.networks.conv_net import NormedConv
from workloads.flows.networks.flow import Flow
from workloads.flows.networks.step import Steps

pytestmark = pytest.mark.filterwarnings("ignore:torch.lu is deprecated")

A = Architecture("glow", 3, 8, scales=2, steps=3, hidden=7)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def copy_hidden(conv: nn.Conv2d, norm: nn.Module, ours: NormedConv) -> None:
    conv.weight.copy_(ours.weight)
    norm.actNorm.s.copy_(ours.norm.log_scale)
    norm.actNorm.t.copy_(ours.norm.shift * ours.norm.scale())
    norm.actNorm.data_dep_init_done.fill_(1)


@torch.no_grad()
def theirs(steps: Steps, number: int, permutation: str) -> nn.Module:
    """Their GlowBlock with the weights of one of our steps."""
    step, mixing, hidden = steps.steps[number], steps.mixing, A.hidden
    channels = step.actnorm.shift.shape[0]
    block = nf.flows.GlowBlock(channels, hidden, net_actnorm=True, use_lu=permutation == "lu")
    coupling, conv, norm = block.flows
    layers = coupling.flows[1].param_map.net
    copy_hidden(layers[0], layers[1], step.coupling.net.enter)
    copy_hidden(layers[3], layers[4], step.coupling.net.middle)
    last = step.coupling.net.leave
    gain = (3 * last.log_gain).exp()
    gain[0::2] *= -1  # they take the shift off, we add it
    layers[6].weight.copy_(last.weight * gain[:, None, None, None])
    layers[6].bias.copy_(last.bias * gain)
    if permutation == "lu":
        conv.P.copy_(torch.eye(channels)[mixing.order[number]])
        conv.L.copy_(mixing.lower[number])
        conv.U.copy_(mixing.upper[number])
        conv.sign_S.copy_(mixing.sign[number])
        conv.log_S.copy_(mixing.log_s[number])
    else:
        conv.W.copy_(mixing.weight[number])
    norm.s.copy_(-step.actnorm.log_scale)
    norm.t.copy_(-step.actnorm.shift)
    norm.data_dep_init_done.fill_(1)
    return block


@torch.no_grad()
def prior(net: Flow, scale: int) -> nn.Module:
    tail = net.body.tails[scale]
    gaussian = nf.distributions.DiagGaussian(tuple(tail.shift.shape))
    gaussian.loc.copy_(-tail.shift)
    gaussian.log_scale.copy_(-tail.scale().log())
    return gaussian


def levels(net: Flow, permutation: str) -> list[list[nn.Module]]:
    """Per level, the coarsest first, its layers from latents to data, as their multi-scale flow wants them."""
    blocks = [[theirs(steps, k, permutation) for k in reversed(range(A.steps))] for steps in net.body.blocks]
    return [[*layers, nf.flows.Squeeze()] for layers in reversed(blocks)]


@pytest.mark.parametrize("permutation", ["lu", "plain"])
def test_a_scales_outputs_and_logdets_are_theirs(permutation: str) -> None:
    net = made(Architecture(**{**vars(A), "permutation": permutation}), size=0.05)
    x = F.pixel_unshuffle(images(4, 3, 8, seed=4), 2)
    steps = net.body.blocks[0]
    y, logdet = steps(x)
    z, total = x, torch.zeros(4)
    for k in range(A.steps):
        z, part = theirs(steps, k, permutation).inverse(z)
        total = total + part
    torch.testing.assert_close(y, z)
    torch.testing.assert_close(logdet, total)


@pytest.mark.parametrize("permutation", ["lu", "plain"])
def test_a_whole_flows_density_is_theirs(permutation: str) -> None:
    net = made(Architecture(**{**vars(A), "permutation": permutation}), size=0.05)
    merges = [nf.flows.Merge("channel_inv")]  # the first half of the channels leaves
    priors = [prior(net, 1), prior(net, 0)]
    oracle = nf.MultiscaleFlow(priors, levels(net, permutation), merges, class_cond=False)
    x: Tensor = images(5, 3, 8, seed=4)
    torch.testing.assert_close(net(x).log_prob, oracle.log_prob(x, None))
