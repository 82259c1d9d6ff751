"""Whole flows: exact densities scale by scale, invertible, of the published size and the predicted cost."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.flows import KINDS, LOG_SIGMOID_2, TINY, images, made, volume
from workloads.errors import UserError
from workloads.flows import architecture
from workloads.flows.architecture import Architecture, latent_shapes, macs, parameters, problems
from workloads.flows.networks.build import build
from workloads.flows.networks.flow import standard_normal

SMALL = Architecture("glow", 2, 4, scales=2, steps=2, hidden=5, patch=2)  # 32 dimensions, for Jacobians
PUBLISHED = Architecture("glow", 3, 32)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def flat(latents: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([z.flatten(1) for z in latents], 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("permutation", ["lu", "plain"])
def test_a_flows_density_is_that_of_its_jacobian(float64: None, kind: Any, permutation: Any) -> None:
    net, x = made(replace(SMALL, kind=kind, permutation=permutation)), images(1, 2, 4, seed=5)
    terms = net(x)
    logdet = float((terms.flow + terms.tail).sum())
    assert logdet == pytest.approx(volume(lambda v: flat(net(v).latents), x), rel=1e-8)
    assert float(terms.log_prob) == pytest.approx(logdet + float(standard_normal(flat(terms.latents))), rel=1e-12)


@pytest.mark.parametrize("kind", ["glow", "dense"])
def test_every_scale_books_its_own_volume(float64: None, kind: Any) -> None:
    net, x = made(replace(SMALL, kind=kind)), images(1, 2, 4, seed=5)
    terms = net(x)
    for i, (block, tail) in enumerate(zip(net.body.blocks, net.body.tails, strict=True)):
        x = F.pixel_unshuffle(x, 2).detach()
        assert float(terms.flow[0, i]) == pytest.approx(volume(lambda v, b=block: b(v)[0], x), rel=1e-8)
        x = block(x)[0]
        z, x = (x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]) if i == 0 else (x, x[:, :0])
        assert float(terms.tail[0, i]) == pytest.approx(volume(tail, z.detach()), rel=1e-8)
        assert float(terms.latent[0, i]) == pytest.approx(float(standard_normal(terms.latents[i])), rel=1e-12)


def test_the_last_contribution_is_the_density_of_what_enters_the_last_scale(float64: None) -> None:
    """The priors of the scales are independent: no latent of an earlier scale may change it."""
    net, x = made(SMALL), images(3, 2, 4, seed=5)
    first, last = net(x).latents
    other = net.inverse([torch.randn_like(first), last])
    torch.testing.assert_close(net(other).contributions[:, 1], net(x).contributions[:, 1])


def test_contributions_add_up_to_log_p() -> None:
    terms = made(TINY)(images(5, 3, 8))
    assert terms.contributions.shape == (5, 2)
    assert terms.log_prob.dtype == torch.float32
    total = (terms.flow.double() + terms.tail + terms.latent).sum(1)
    assert (terms.log_prob - total).abs().max() < 1e-3


@pytest.mark.parametrize("kind", ["glow", "patch"])
def test_couplings_start_with_a_volume_that_is_known(kind: Any) -> None:
    """Rotations have none, and the actnorms' is taken off."""
    net = build(replace(TINY, kind=kind))
    x = images(32, 3, 8)
    net.initialise(x)
    terms = net(x)
    blocks = net.body.blocks if kind == "glow" else net.body.flow.blocks
    for i, shape in enumerate(architecture.scale_shapes(replace(TINY, kind=kind))):
        pixels = math.prod(shape[1:])
        patches = 4 if kind == "patch" else 1
        norms = patches * pixels * sum(float(step.actnorm.log_scales()) for step in blocks[i].steps)
        expected = LOG_SIGMOID_2 * TINY.steps * patches * math.prod(shape) / 2
        torch.testing.assert_close(terms.flow[:, i] - norms, torch.full((32,), expected), atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
@pytest.mark.parametrize("permutation", ["lu", "plain", "rotation", "shuffle"])
def test_images_come_back_from_their_latents(kind: Any, channels: int, coupling: Any, permutation: Any) -> None:
    a = replace(TINY, kind=kind, channels=channels, coupling=coupling, permutation=permutation)
    net, x = made(a), images(4, channels, 8, seed=3)
    with torch.no_grad():
        terms = net(x)
        assert tuple(tuple(z.shape[1:]) for z in terms.latents) == latent_shapes(a) == net.shapes
        assert (net.inverse(terms.latents) - x).abs().max() < 1e-4
        drawn = net.sample(3, torch.Generator().manual_seed(0))
        assert drawn.shape == (3, channels, 8, 8)
        again = net(drawn).latents
        generator = torch.Generator().manual_seed(0)
        for z, shape in zip(again, net.shapes, strict=True):
            assert (z - torch.randn((3, *shape), generator=generator)).abs().max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_thirty_two_steps_are_inverted_in_float32(kind: Any) -> None:
    net, x = made(replace(TINY, kind=kind, steps=32), size=0.02), images(4, 3, 8, seed=3)
    with torch.no_grad():
        assert (net.inverse(net(x).latents) - x).abs().max() < 1e-4


def test_samples_without_temperature_are_one_image_and_seeds_repeat() -> None:
    net = made(TINY)
    cold = net.sample(3, torch.Generator().manual_seed(0), temperature=0.0)
    torch.testing.assert_close(cold, net.inverse([torch.zeros(3, *shape) for shape in net.shapes]))
    a, b = (net.sample(3, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b)


def test_a_patch_flow_scores_patches_apart() -> None:
    """log p of an image is the sum over its patches, wherever they stand, and latents stand where they stood."""
    net, x = made(replace(TINY, kind="patch")), images(2, 3, 8)
    swapped = torch.cat([x[..., 4:], x[..., :4]], 3)
    torch.testing.assert_close(net(swapped).log_prob, net(x).log_prob)
    changed = x.clone()
    changed[:, :, 5, 6] += 0.1
    moved = (net(changed).latents[0] - net(x).latents[0]).abs().amax((0, 1)) > 0
    assert moved[2:, 2:].any()
    assert not moved[:2].any()
    assert not moved[:, :2].any()


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        (PUBLISHED, 44_155_008),
        (replace(PUBLISHED, kind="patch"), 11_119_872),
        (replace(PUBLISHED, kind="dense", steps=8), 39_481_344),
    ],
    ids=KINDS,
)
def test_networks_have_the_published_number_of_parameters(a: Architecture, expected: int) -> None:
    with torch.device("meta"):
        net = build(a)
    assert sum(p.numel() for p in net.parameters()) == parameters(a) == expected


def test_latents_have_the_published_sizes() -> None:
    assert [math.prod(shape) for shape in latent_shapes(PUBLISHED)] == [1536, 768, 768]
    assert latent_shapes(PUBLISHED) == ((6, 16, 16), (12, 8, 8), (48, 4, 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", [{}, {"coupling": "additive"}, {"permutation": "plain"}, {"channels": 1}])
def test_predicted_sizes_and_costs_are_those_that_torch_counts(kind: Any, changes: dict[str, Any]) -> None:
    a = replace(TINY, kind=kind, **changes)
    net = made(a).requires_grad_(False)
    assert parameters(a) == sum(p.numel() for p in net.parameters())

    def counted(batch: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(images(batch, a.channels, a.side))
        return counter.get_total_flops()

    # the difference leaves out the matrices that are assembled once a batch
    assert macs(a) == (counted(3) - counted(2)) / 2


def test_the_published_glow_costs_four_billion_multiplications_an_image() -> None:
    assert macs(PUBLISHED) == pytest.approx(4.01e9, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"side": 28, "scales": 3}, "side"),
        ({"kind": "patch", "patch": 5}, "patch"),
        ({"kind": "patch", "patch": 1}, "patch"),
        ({"kind": "patch", "side": 12, "patch": 8}, "patch"),
        ({"channels": 0}, "channels"),
        ({"steps": 0}, "steps"),
        ({"classes": -1}, "classes"),
        ({"classes": 10, "kind": "dense"}, "classes"),
        ({"kind": "realnvp"}, "kind"),
        ({"permutation": "identity"}, "permutation"),
    ],
)
def test_networks_that_do_not_exist_are_refused_by_key(changes: dict[str, Any], key: str) -> None:
    a = replace(PUBLISHED, **changes)
    assert [found for found, _ in problems(a)] == [key]
    with pytest.raises(UserError, match=key):
        build(a)


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_built_has_no_problems(kind: Any) -> None:
    assert not list(problems(replace(PUBLISHED, kind=kind)))
