"""8-bit images in, bits per dimension out."""

import pytest
import torch

from workloads.flows.bits import bin_centres, bits_per_dim, dequantise, to_unit

EVERY = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


def test_values_become_the_lower_edges_of_their_bins() -> None:
    unit = to_unit(EVERY)
    assert unit.dtype == torch.float32
    assert float(unit.min()) == -0.5
    assert float(unit.max()) == 0.49609375
    assert torch.equal((unit + 0.5) * 256, EVERY.float())


def test_dequantised_values_stay_in_their_bins() -> None:
    noise = torch.rand(100, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    values = dequantise(EVERY.expand(100, -1, -1, -1), noise)
    assert torch.equal(((values + 0.5) * 256).floor().to(torch.uint8), EVERY.expand(100, -1, -1, -1))
    assert torch.equal(dequantise(EVERY, torch.zeros(EVERY.shape)), to_unit(EVERY))
    assert torch.equal(dequantise(EVERY, torch.full(EVERY.shape, 0.5)), bin_centres(EVERY))


@pytest.mark.parametrize("wrong", [EVERY.float(), EVERY.long()])
def test_what_is_not_uint8_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="uint8, found torch"):
        to_unit(wrong)


def test_the_uniform_density_needs_eight_bits() -> None:
    assert float(bits_per_dim(torch.zeros(()), 3072)) == 8
    assert bits_per_dim(0.0, 1024) == 8


def test_bits_are_the_nats_of_the_unscaled_image() -> None:
    """NLL = -log p + n ln 256, over n ln 2."""
    log_prob = torch.tensor([9900.0, -3.0])
    nll = -log_prob.double() + 3072 * torch.log(torch.tensor(256.0, dtype=torch.float64))
    expected = nll / (3072 * torch.log(torch.tensor(2.0, dtype=torch.float64)))
    found = bits_per_dim(log_prob, 3072)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected)
    assert float(found[0]) == pytest.approx(3.351, abs=1e-3)
