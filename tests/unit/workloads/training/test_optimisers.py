"""An optimiser's state that was read back goes on, and one of another network is refused."""

import pytest
import torch

from workloads.errors import UserError
from workloads.training.optimisers import descend, load_optimiser


def adamax(*shapes: tuple[int, ...]) -> torch.optim.Optimizer:
    optimiser = torch.optim.Adamax([torch.nn.Parameter(torch.ones(shape)) for shape in shapes])
    descend(optimiser, [torch.ones(shape) for shape in shapes])
    return optimiser


def test_a_state_of_a_network_of_other_parameters_is_refused_in_words() -> None:
    """Class heads were two tensors, and are four."""
    earlier, present = adamax((3,), (2, 2)), adamax((3,), (2, 2), (2,), (2,))
    with pytest.raises(UserError, match="of an earlier version") as refused:
        load_optimiser(present, earlier.state_dict())
    assert "2 tensors, and this version trains 4" in refused.value.details
    load_optimiser(present, adamax((3,), (2, 2), (2,), (2,)).state_dict())
