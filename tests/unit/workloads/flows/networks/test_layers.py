"""Every layer of a flow is undone by its inverse, and books the volume by which autograd says it stretches space."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.helpers.flows import LOG_SIGMOID_2, disturb, images, volume
from workloads.flows.networks.actnorm import STD_FLOOR, ActNorm
from workloads.flows.networks.conv_net import ConvNet
from workloads.flows.networks.coupling import Coupling
from workloads.flows.networks.dense_flow import DenseNet, FlatSteps
from workloads.flows.networks.inv_conv import mix, mixing
from workloads.flows.networks.patch_flow import cut, join
from workloads.flows.networks.step import Steps

PERMUTATIONS = ("lu", "plain", "rotation", "shuffle")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def maps(count: int, seed: int = 1) -> Tensor:
    """Squeezed images, (count, 8, 2, 2)."""
    return F.pixel_unshuffle(images(count, 2, 4, seed), 2)


def steps(permutation: str, affine: bool, channels: int = 8, dense: bool = False, count: int = 3) -> Steps:
    """Three steps on 8 channels, initialised and disturbed."""

    def coupling() -> Coupling:
        out = channels if affine else channels // 2
        return Coupling((DenseNet if dense else ConvNet)(channels // 2, 6, out), affine)

    kind = FlatSteps if dense else Steps
    made = kind(channels, mixing(permutation, count, channels), [coupling() for _ in range(count)])
    with torch.no_grad():
        made(maps(16), measure=True)
    disturb(made, 0.05)
    return made.requires_grad_(False)


@pytest.mark.parametrize("permutation", PERMUTATIONS)
@pytest.mark.parametrize("affine", [True, False])
def test_steps_book_the_volume_of_their_jacobian(float64: None, permutation: str, affine: bool) -> None:
    flow, x = steps(permutation, affine), maps(1, seed=3)
    assert float(flow(x)[1]) == pytest.approx(volume(lambda v: flow(v)[0], x), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("affine", [True, False])
def test_dense_steps_book_the_volume_of_their_jacobian(float64: None, affine: bool) -> None:
    flow, x = steps("rotation", affine, channels=32, dense=True), maps(1, seed=3)
    assert float(flow(x)[1]) == pytest.approx(volume(lambda v: flow(v)[0], x), rel=1e-8)


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 4, 4)])
@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_actnorm_books_the_volume_of_its_jacobian(float64: None, shape: tuple[int, ...], eps: float) -> None:
    norm, x = ActNorm(shape, eps).requires_grad_(False), torch.randn(1, 2, 4, 4)
    disturb(norm, 1.0)
    pixels_a_parameter = 32 // math.prod(shape)
    assert float(norm.log_scales()) * pixels_a_parameter == pytest.approx(volume(norm, x), rel=1e-8)


@pytest.mark.parametrize("permutation", PERMUTATIONS)
def test_mixing_books_the_volume_of_its_jacobian(float64: None, permutation: str) -> None:
    layer, x = mixing(permutation, 2, 4), torch.randn(1, 4, 2, 3)
    disturb(layer, 0.2)
    for weight, logdet in zip(*layer.requires_grad_(False)(), strict=True):
        assert 6 * float(logdet) == pytest.approx(volume(lambda v, w=weight: mix(v, w), x), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("permutation", PERMUTATIONS)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_layers_are_undone_by_their_inverse(permutation: str, affine: bool, dense: bool) -> None:
    flow = steps(permutation, affine, channels=32 if dense else 8, dense=dense)
    x = maps(5, seed=3)
    with torch.no_grad():
        assert (flow.inverse(flow(x)[0]) - x).abs().max() < 1e-5
        if dense:
            return
        coupling, norm = flow.steps[0].coupling, flow.steps[0].actnorm
        assert (coupling.inverse(coupling(x)[0]) - x).abs().max() < 1e-5
        assert (norm.inverse(norm(x)) - x).abs().max() < 1e-5
        weights, inverses = flow.mixing()[0], flow.mixing.inverses()
        assert (mix(mix(x, weights[1]), inverses[1]) - x).abs().max() < 1e-5


@pytest.mark.parametrize("permutation", PERMUTATIONS)
def test_mixing_starts_as_a_rotation_of_its_own_for_every_step(float64: None, permutation: str) -> None:
    weights, logdets = mixing(permutation, 3, 6)()
    torch.testing.assert_close(weights @ weights.mT, torch.eye(6).expand(3, -1, -1))
    torch.testing.assert_close(logdets, torch.zeros(3), atol=1e-9, rtol=0)
    assert not torch.equal(weights[0], weights[1])


def test_an_lu_matrix_keeps_its_row_order_and_signs_in_training(float64: None) -> None:
    layer = mixing("lu", 2, 6)
    signs = torch.linalg.slogdet(layer()[0])[0]
    disturb(layer, 0.5)
    weights, logdets = layer()
    torch.testing.assert_close(torch.linalg.slogdet(weights), (signs, logdets))
    assert torch.equal(layer.get_buffer("sign").abs(), torch.ones(2, 6))


def test_mixing_is_a_convolution_over_channels() -> None:
    x, weight = torch.randn(2, 6, 3, 4), torch.randn(6, 6)
    torch.testing.assert_close(mix(x, weight), F.conv2d(x, weight[..., None, None]))


def test_a_coupling_shifts_by_even_and_scales_by_odd_outputs_of_the_first_half() -> None:
    coupling, x = Coupling(ConvNet(3, 5, 6), affine=True), torch.randn(2, 6, 4, 4)
    disturb(coupling, 0.3)
    out = coupling.net(x[:, :3])
    scale = torch.sigmoid(out[:, [1, 3, 5]] + 2)
    y, logdet = coupling(x)
    assert torch.equal(y[:, :3], x[:, :3])
    torch.testing.assert_close(y[:, 3:], (x[:, 3:] + out[:, [0, 2, 4]]) * scale)
    torch.testing.assert_close(logdet, scale.log().sum((1, 2, 3)))


def test_an_additive_coupling_only_shifts() -> None:
    coupling, x = Coupling(ConvNet(3, 5, 3), affine=False), torch.randn(2, 6, 4, 4)
    disturb(coupling, 0.3)
    y, logdet = coupling(x)
    torch.testing.assert_close(y[:, 3:], x[:, 3:] + coupling.net(x[:, :3]))
    assert not logdet.any()


@pytest.mark.parametrize(("affine", "expected"), [(True, LOG_SIGMOID_2 * 3 * 16), (False, 0.0)])
def test_a_coupling_starts_at_sigmoid_of_two(affine: bool, expected: float) -> None:
    coupling, x = Coupling(ConvNet(3, 5, 6 if affine else 3), affine), torch.randn(2, 6, 4, 4)
    y, logdet = coupling(x)
    torch.testing.assert_close(logdet, torch.full((2,), expected))
    torch.testing.assert_close(y[:, 3:], x[:, 3:] * math.exp(expected / 48))


def test_a_hidden_convolution_is_convolution_then_actnorm() -> None:
    net, x = ConvNet(3, 5, 6), torch.randn(4, 3, 6, 6)
    with torch.no_grad():
        started = net.enter(x, measure=True)
    torch.testing.assert_close(started.mean((0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(started.std((0, 2, 3)), torch.ones(5), atol=1e-5, rtol=0)
    disturb(net, 0.3)
    by_hand = net.enter.norm(F.conv2d(x, net.enter.weight, padding=1))
    torch.testing.assert_close(net.enter(x, measure=False), by_hand, atol=1e-5, rtol=1e-5)


def test_hidden_weights_start_small() -> None:
    net = ConvNet(8, 64, 16)
    for conv in (net.enter, net.middle):
        assert float(conv.weight.detach().std()) == pytest.approx(0.05, rel=0.05)


def test_the_last_layers_gain_is_the_exponential_of_three_times_its_parameter() -> None:
    net, x = ConvNet(3, 5, 6), torch.randn(4, 3, 6, 6)
    disturb(net, 0.3)
    out = net(x)
    with torch.no_grad():
        net.leave.log_gain.add_(0.1)
    torch.testing.assert_close(net(x), out * math.exp(0.3))


@pytest.mark.parametrize(("shape", "dims"), [((3, 1, 1), (0, 2, 3)), ((3, 4, 4), (0,))])
def test_actnorm_starts_from_the_mean_and_unbiased_deviation(shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    norm, x = ActNorm(shape), 5 + 3 * torch.randn(7, 3, 4, 4)
    y = norm(x, measure=True)
    torch.testing.assert_close(y.mean(dims), torch.zeros_like(y.mean(dims)), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(dims), torch.ones_like(y.mean(dims)), atol=1e-5, rtol=0)
    assert torch.equal(norm(x), y)


def test_a_constant_channel_hits_the_floor() -> None:
    norm = ActNorm((2, 1, 1))
    x = torch.randn(4, 2, 3, 3)
    x[:, 1] = 0.25
    y = norm(x, measure=True)
    assert y.isfinite().all()
    assert not y[:, 1].any()
    assert float(norm.log_scale[1]) == pytest.approx(-math.log(STD_FLOOR), rel=1e-6)


def test_patches_are_cut_row_by_row_and_joined_again() -> None:
    x = torch.randn(2, 3, 8, 8)
    tiles = cut(x, 4)
    assert torch.equal(tiles[16 + 4 * 1 + 3], x[1, :, 2:4, 6:8])
    assert torch.equal(join(tiles, 4), x)
