"""The networks have the sizes of the spec's tables, the costs that a dry run predicts, and see only what they may."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from workloads.mlsad import architecture
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.method import MLSAD
from workloads.mlsad.networks.detector import PatchDetector
from workloads.mlsad.networks.discriminator import PatchDiscriminator
from workloads.mlsad.networks.generator import Generator
from workloads.mlsad.networks.layers import coordinates, minibatch_stddev
from workloads.mlsad.statistics import StatisticsNetwork
from workloads.units import ImageShape, TrainingCounts

LEVELS = (1, 2, 4, 8, 16)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def measured_macs(net: nn.Module, *inputs: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(*inputs)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize(
    ("net", "published"),
    [
        (lambda: Generator(32, 3, 1.0), 5.78e6),
        (lambda: StatisticsNetwork(32, 3, 1.0), 3.96e6),
        (lambda: PatchDiscriminator(2, 3, 1.0, "global"), 76e3),
        (lambda: PatchDiscriminator(4, 3, 1.0, "global"), 308e3),
        (lambda: PatchDiscriminator(8, 3, 1.0, "global"), 1.05e6),
    ],
    ids=["G", "T", "Dg_2", "Dg_4", "Dg_8"],
)
def test_adversarial_networks_have_the_tables_parameters(net, published) -> None:
    assert parameters(net()) == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("level", "one_block", "two_blocks"),
    [(1, 42e3, 75e3), (2, 43e3, 76e3), (4, 172e3, 303e3), (8, 1.03e6, 1.56e6), (16, 2.95e6, 3.47e6)],
)
def test_detectors_have_the_tables_parameters(level, one_block, two_blocks) -> None:
    assert parameters(PatchDetector(level, 3, 1.0, 1)) == pytest.approx(one_block, rel=0.015)
    assert parameters(PatchDetector(level, 3, 1.0, 2)) == pytest.approx(two_blocks, rel=0.015)


@pytest.mark.parametrize(("level", "side"), [(1, 32), (2, 31), (4, 29), (8, 25), (16, 17)])
def test_maps_have_one_cell_for_every_window(level, side) -> None:
    x, place = torch.randn(4, 3, 32, 32), coordinates(32, level, CPU)
    assert PatchDetector(level, 3, 0.0625, 1)(x, place).shape == (4, 1, side, side)
    assert PatchDiscriminator(level, 3, 0.0625, "global")(x).shape == (4, 1, side, side)
    assert place.shape == (1, 2, side, side)
    assert architecture.map_side(32, level) == side


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("width", [0.25, 1.0])
def test_predicted_costs_are_those_that_torch_counts(side, width) -> None:
    x = torch.randn(1, 3, side, side)
    for level in LEVELS:
        place = coordinates(side, level, CPU)
        for blocks in (1, 2):
            counted = measured_macs(PatchDetector(level, 3, width, blocks), x, place)
            assert architecture.detector_macs(level, side, width, blocks) == counted, (level, blocks)
    for level in (2, 4, 8):
        counted = measured_macs(PatchDiscriminator(level, 3, width, "off"), x)
        assert architecture.discriminator_macs(level, side, width) == counted, level
    assert architecture.generator_macs(side, width) == measured_macs(Generator(side, 3, width), x)
    assert architecture.statistics_macs(side, width) == measured_macs(StatisticsNetwork(side, 3, width), x, x)


def outputs(net: nn.Module, modules: list[nn.Module], *inputs: Tensor) -> list[tuple[int, ...]]:
    """Shapes (C, S, S) that the modules give for the inputs."""
    found: list[tuple[int, ...]] = []
    for module in modules:
        module.register_forward_hook(lambda _module, _inputs, out: found.append(tuple(out.shape[1:])))
    with torch.no_grad():
        net(*inputs)
    return found


def test_the_generators_stages_are_those_of_table_8() -> None:
    net = Generator(32, 3, 1.0).eval()
    stages = [*net.down, net.squeeze, net.expand, *net.up, net.out]
    down = [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 1, 1)]
    assert outputs(net, stages, torch.randn(1, 3, 32, 32)) == [
        *down,
        *((256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)),
    ]


@pytest.mark.parametrize(
    ("level", "trunk", "head"),
    [
        (2, [(64, 31, 31)], (128, 31, 31)),
        (4, [(128, 29, 29)], (256, 29, 29)),
        (8, [(64, 29, 29), (128, 27, 27), (256, 25, 25)], (512, 25, 25)),
    ],
)
def test_a_discriminators_layers_are_those_of_the_tables(level, trunk, head) -> None:
    net = PatchDiscriminator(level, 3, 1.0, "global")
    found = outputs(net, [*net.trunk, net.enter, *net.blocks], torch.randn(4, 3, 32, 32))
    assert found == [*trunk, head, head, head]
    # every trunk layer is followed by four channels of minibatch deviation
    assert [conv.in_channels for conv in net.trunk] == [5, *(c + 4 for c, *_ in trunk[:-1])]
    assert net.enter.in_channels == trunk[-1][0] + 4


def seen(logits: Tensor, image: Tensor, cell: tuple[int, int]) -> Tensor:
    """Which samples' pixels (N, S, S) the first sample's output cell depends on."""
    (gradient,) = torch.autograd.grad(logits[0, 0, cell[0], cell[1]], image)
    return gradient.abs().sum(1) > 0


def window(level: int, cell: tuple[int, int], samples: int) -> Tensor:
    expected = torch.zeros(samples, 32, 32, dtype=torch.bool)
    expected[0, cell[0] : cell[0] + level, cell[1] : cell[1] + level] = True
    return expected


@pytest.mark.parametrize("level", LEVELS)
def test_a_detectors_cell_sees_exactly_its_window(level) -> None:
    net, image = PatchDetector(level, 3, 0.25, 2), torch.randn(2, 3, 32, 32, requires_grad=True)
    for cell in ((0, 0), (7, 3), (32 - level, 32 - level)):
        logits = net(image, coordinates(32, level, CPU))
        assert torch.equal(seen(logits, image, cell), window(level, cell, 2))


@pytest.mark.parametrize("level", [2, 4, 8])
@pytest.mark.parametrize("stddev", ["local", "off"])
def test_a_discriminators_cell_sees_its_window_alone_without_global_deviation(level, stddev) -> None:
    net, image = PatchDiscriminator(level, 3, 0.25, stddev), torch.randn(4, 3, 32, 32, requires_grad=True)
    found = seen(net(image), image, (9, 5))
    expected = window(level, (9, 5), 4)
    assert torch.equal(found[0], expected[0])
    # local: the same window of the three other images of its group; off: nothing of them
    assert torch.equal(found[1:].any(0), expected[0] if stddev == "local" else torch.zeros_like(expected[0]))


@pytest.mark.parametrize("level", [2, 4, 8])
def test_global_deviation_makes_a_cell_see_whole_images_of_its_group(level) -> None:
    net, image = PatchDiscriminator(level, 3, 0.25, "global"), torch.randn(8, 3, 32, 32, requires_grad=True)
    found = seen(net(image), image, (9, 5))
    assert found[:4].all()
    assert not found[4:].any()


@pytest.mark.parametrize("level", LEVELS)
def test_other_coordinates_in_one_cell_change_that_cell_alone(level) -> None:
    net, image, place = PatchDetector(level, 3, 0.25, 2), torch.randn(1, 3, 32, 32), coordinates(32, level, CPU)
    moved = place.clone()
    moved[0, :, 5, 11] += 0.5
    changed = (net(image, place) != net(image, moved))[0, 0]
    assert changed.nonzero().tolist() == [[5, 11]]


@pytest.mark.parametrize("level", LEVELS)
def test_coordinates_are_window_centres_on_the_image(level) -> None:
    rows, columns = coordinates(32, level, CPU)[0]
    centre = (level - 1) / 2  # of the first window, in pixels
    assert float(rows[0, 0]) == pytest.approx(centre / 31 * 2 - 1, abs=1e-6)
    assert float(rows[-1, 0]) == pytest.approx(1 - centre / 31 * 2, abs=1e-6)
    assert torch.equal(rows, columns.T)
    assert (rows == rows[:, :1]).all()


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_generators_keep_side_and_range(side) -> None:
    image = Generator(side, 3, 0.0625)(torch.randn(4, 3, side, side))
    assert image.shape == (4, 3, side, side)
    assert image.abs().max() <= 1
    assert StatisticsNetwork(side, 3, 0.0625)(image, image).shape == (4,)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_a_generators_norms_can_be_switched_and_leave_its_output_alone(spectral, batch) -> None:
    net = Generator(16, 3, 0.0625, spectral, batch)
    names = {name.rpartition(".")[0] for name in net.state_dict() if name.endswith("original")}
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    hidden = [conv for conv in convs if conv is not net.out[1]]
    assert len(names) == (len(hidden) if spectral else 0)
    assert len(norms) == (len(hidden) if batch else 0)
    assert not hasattr(net.out[1], "parametrizations")
    assert all((conv.bias is None) == batch for conv in hidden)
    assert architecture.generator_macs(16, 0.0625) == measured_macs(net, torch.randn(1, 3, 16, 16))


def test_an_image_depends_on_its_batch_through_batch_norm_alone() -> None:
    z = torch.randn(4, 3, 16, 16)
    for batch in (True, False):
        net = Generator(16, 3, 0.0625, False, batch).train()
        assert torch.allclose(net(z)[:1], net(torch.cat([z[:1], 9 * z[1:]]))[:1], atol=1e-6) != batch


@pytest.mark.parametrize("side", [4, 12, 31])
def test_sides_that_no_generator_can_make_are_refused(side) -> None:
    with pytest.raises(ValueError, match=f"power of two from 8 on, found {side}"):
        Generator(side, 3, 0.25)


def test_local_deviation_is_the_groups_standard_deviation() -> None:
    x = torch.randn(8, 8, 5, 5)
    found = minibatch_stddev(x, "local")[:, 8:]
    assert torch.equal(minibatch_stddev(x, "local")[:, :8], x)
    by_hand = x.view(2, 4, 8, 5, 5).std(1, correction=0).view(2, 4, 2, 5, 5).mean(2).repeat_interleave(4, 0)
    torch.testing.assert_close(found, by_hand)
    average = by_hand.mean((2, 3), keepdim=True).expand(-1, -1, 5, 5)
    torch.testing.assert_close(minibatch_stddev(x, "global")[:, 8:], average)
    assert not minibatch_stddev(x, "off")[:, 8:].any()


def test_a_batch_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 6"):
        minibatch_stddev(torch.randn(6, 8, 5, 5), "global")


def test_the_published_schedule_costs_what_the_spec_derives() -> None:
    method, cifar = MLSAD(MLSADConfig()), (ImageShape(3, 32, 32), TrainingCounts(5000))
    petaflop = [
        2e-15 * sum(method.cost(unit, *cifar).macs for unit in units)
        for units in (method.stages("c"), method.units("c"))
    ]
    bottleneck = 8 * (990e6 - 663e6) * 300 * 5000 * 2e-15  # the spec's 45 are without it
    assert petaflop[0] == pytest.approx(45 - bottleneck, rel=0.02)
    assert petaflop[1] == pytest.approx(0.8 * 45, rel=0.02)  # the shared trunk saves about a fifth
