"""Flows in training: how they start, alike on every worker, what saves memory, what a checkpoint brings back."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.flows import KINDS, TINY, disturb, images, made
from tests.helpers.workers import one_and_two
from workloads.flows.networks.build import build
from workloads.flows.networks.flow import Flow
from workloads.training.checkpoint import load_state, save_state
from workloads.training.distributed import Draws, Parallel


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flow_that_has_seen_no_data_is_refused(kind: Any) -> None:
    net, x = build(replace(TINY, kind=kind)), images(4, 3, 8)
    for call in (lambda: net(x), lambda: net.sample(1, torch.Generator())):
        with pytest.raises(RuntimeError, match="initialise"):
            call()
    with pytest.raises(ValueError, match="found 1"):
        net.initialise(x[:1])
    with pytest.raises(RuntimeError, match="initialise"):
        net(x)
    net.initialise(x)
    net(x)
    net.load_state_dict(build(replace(TINY, kind=kind)).state_dict())
    with pytest.raises(RuntimeError, match="initialise"):
        net(x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_brings_back_the_flow_and_never_initialises_again(kind: Any, tmp_path: Path) -> None:
    a = replace(TINY, kind=kind)
    net, x = made(a), images(4, 3, 8, seed=4)
    save_state(tmp_path, {"net": net.state_dict()})
    torch.manual_seed(99)
    other = build(a)
    other.load_state_dict(load_state(tmp_path)["net"])
    with torch.no_grad():
        assert torch.equal(other(x).contributions, net(x).contributions)
        other(3 * x)
        assert torch.equal(other(x).contributions, net(x).contributions)
    copied = copy.deepcopy(other)
    assert torch.equal(copied(x).log_prob, net(x).log_prob)


def test_initialisation_normalises_every_step_and_latent() -> None:
    net, x = build(TINY), images(64, 3, 8)
    net.initialise(x)
    found: list[Tensor] = []
    for step in net.body.blocks[1].steps:
        step.actnorm.register_forward_hook(lambda _module, _inputs, y: found.append(y))
    with torch.no_grad():
        latents = net(x).latents
    for y in found:
        torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(y.shape[1]), atol=1e-3, rtol=0)
    for z in latents:
        torch.testing.assert_close(z.mean(0), torch.zeros(z.shape[1:]), atol=1e-3, rtol=0)
        torch.testing.assert_close(z.std(0), torch.ones(z.shape[1:]), atol=1e-3, rtol=0)


def started(parallel: Parallel) -> dict[str, Tensor]:
    """A flow whose first batch is drawn in shares, and gathered."""
    torch.manual_seed(3)
    net = build(TINY)
    rows = Draws(5, torch.device("cpu"), parallel).uniform((16, 3, 8, 8)) - 0.5
    net.initialise(parallel.gather(rows))
    return net.state_dict()


def test_two_processes_start_as_one(tmp_path: Path) -> None:
    alone, both = one_and_two(started, tmp_path)
    for state in both:
        assert state.keys() == alone.keys()
        for name, value in alone.items():
            assert torch.equal(state[name], value), name


def learned(net: Flow, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    log_prob = net(x).log_prob
    return log_prob.detach(), list(torch.autograd.grad(-log_prob.mean(), list(net.parameters())))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [False, True])
def test_checkpointing_changes_no_value_and_no_gradient(kind: Any, autocast: bool) -> None:
    a, x = replace(TINY, kind=kind, autocast=autocast), images(4, 3, 8)
    plain, saving = learned(made(a), x), learned(made(replace(a, checkpointing=True)), x)
    assert torch.equal(plain[0], saving[0])
    assert all(torch.equal(p, s) for p, s in zip(plain[1], saving[1], strict=True))


def kept(net: Flow, x: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters left out."""
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        log_prob = net(x).log_prob
    assert log_prob.requires_grad
    return sum(size for place, size in found.items() if place not in {p.data_ptr() for p in net.parameters()})


def test_checkpointing_keeps_no_hidden_maps() -> None:
    a, x = replace(TINY, hidden=64), images(4, 3, 8)
    plain, saving = kept(made(a), x), kept(made(replace(a, checkpointing=True)), x)
    hidden = 4 * 4 * 64 * (16 + 4) * a.steps  # bytes of one hidden map a step, at both scales
    assert plain - saving > 2 * hidden  # both hidden layers'


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_reaches_the_coupling_networks_alone_and_training_alone(kind: Any) -> None:
    a, x = replace(TINY, kind=kind), images(8, 3, 8)
    exact, rough = made(a), made(replace(a, autocast=True))
    with torch.no_grad():
        assert torch.equal(rough.eval()(x).contributions, exact.eval()(x).contributions)
        reference, terms = exact.train()(x), rough.train()(x)
        for term in (terms.flow, terms.tail, terms.latent, *terms.latents):
            assert term.dtype == torch.float32
        error = (terms.log_prob - reference.log_prob).abs()
        assert 0 < error.max() < 2
        with torch.autocast("cpu", torch.bfloat16):
            outside = exact(x)
        assert torch.equal(outside.contributions, reference.contributions), "a caller's autocast changes nothing"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["constant", "border"])
def test_images_that_are_constant_stay_finite(kind: Any, what: str) -> None:
    """All of one value, or with a black border as MNIST has; dequantised to start from, without noise when scored."""
    values = torch.full((32, 3, 8, 8), 7 / 256 - 0.5)
    if what == "border":
        values[:, :, 2:6, 2:6] = images(32, 3, 4)
    net = build(replace(TINY, kind=kind))
    net.initialise(values + torch.rand(values.shape, generator=torch.Generator().manual_seed(0)) / 256)
    log_prob, gradients = learned(net, values + 0.5 / 256)
    assert log_prob.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    bare = build(replace(TINY, kind=kind))
    bare.initialise(values)
    assert bare(values).contributions.isfinite().all()


def test_steps_of_maximum_likelihood_raise_the_likelihood() -> None:
    net, x = build(replace(TINY, hidden=16)), images(64, 3, 8)
    net.initialise(x)
    held = images(64, 3, 8, seed=9)
    before = float(net(held).log_prob.mean())
    optimiser = torch.optim.Adamax(net.parameters(), lr=2e-3)
    for step in range(30):
        optimiser.zero_grad()
        (-net(images(64, 3, 8, seed=100 + step)).log_prob.mean()).backward()
        optimiser.step()
    assert float(net(held).log_prob.mean()) > before + 10


def test_a_disturbed_flow_differs_from_a_fresh_one() -> None:
    """Guards the fixture that the tests above rest on."""
    net = made(TINY, size=0.0)
    before = net(images(2, 3, 8)).log_prob
    disturb(net, 0.05)
    assert (net(images(2, 3, 8)).log_prob - before).abs().min() > 1
