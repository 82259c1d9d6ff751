"""Images that are added to a memory: as if it had been fitted to all of them."""

import numpy as np
import pytest
import torch

from tests.unit.workloads.patch_memory.test_memory import correlated
from workloads.errors import UserError
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.extension import extended
from workloads.patch_memory.memory import distances, fit, with_usual
from workloads.patch_memory.method import PatchMemory


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize("model", ["gaussian", "gaussian_per_place"])
def test_a_gaussian_is_that_of_all_images(model):
    config = PatchMemoryConfig(model=model, dims=4)
    old, new, tested = correlated(40), 2 * correlated(30) + 1, correlated(3)
    states = []
    for chunks, images in ((old.split(7), 40), (torch.cat([old, new]).split(9), 70)):
        torch.manual_seed(1)  # which channels a place looks at
        states.append(fit(config, chunks, np.arange(images)))
    further = extended(config, states[0], new.split(11), np.arange(30))
    assert further["patches"] == states[1]["patches"]
    found, expected = (distances(config, state, tested) for state in (further, states[1]))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, distances(config, states[0], tested), rtol=0.05)


@pytest.mark.parametrize("whitened", [True, False])
def test_a_memory_that_has_room_keeps_all_patches_and_is_that_of_all_images(whitened):
    config = PatchMemoryConfig(memory=10_000, whitened=whitened)
    old, new, tested = correlated(10), correlated(8) + 3, correlated(3)
    state = fit(config, [old], np.arange(10))
    further = extended(config, state, new.split(3), np.arange(8))
    whole = fit(config, [torch.cat([old, new])], np.arange(18))
    assert further.keys() == whole.keys()
    assert len(further["memory"]) == len(whole["memory"]) == 18 * 36
    torch.testing.assert_close(
        distances(config, further, tested), distances(config, whole, tested), rtol=1e-3, atol=1e-3
    )
    assert distances(config, further, new).max() < 0.05 < distances(config, state, new).min()


def test_a_full_memory_stays_as_large_and_knows_the_new_images():
    config = PatchMemoryConfig(memory=60)
    old, new = correlated(10), correlated(8) + 20
    state = fit(config, [old], np.arange(10))
    further = extended(config, state, [new], np.arange(8))
    assert further["memory"].shape == state["memory"].shape
    assert distances(config, further, new).mean() < 0.2 * distances(config, state, new).mean()


def test_patches_keep_the_number_of_their_image_and_what_is_usual_is_that_of_old_and_added_images():
    method = PatchMemory(PatchMemoryConfig(features="random", memory=10_000, candidates=10_000, smoothing=0))
    old, new = torch.randint(256, (2, 12, 3, 16, 16), dtype=torch.uint8)
    new = new // 2
    state = method.fit(old)
    further = method.extend(state, new, np.arange(12))
    assert further["images"].unique().tolist() == list(range(24))
    at_a_loss = distances(method.config, state, method._features(state).of(new))
    assert at_a_loss.mean() > 3
    bare = {key: value for key, value in further.items() if key != "usual"}
    added = with_usual(method.config, bare, [method._features(state).of(new)], np.arange(12, 24))
    assert (state["usual_of"], added["usual_of"], further["usual_of"]) == (12, 12, 24)
    torch.testing.assert_close(further["usual"][0], (state["usual"][0] + added["usual"][0]) / 2)
    assert not torch.allclose(further["usual"], state["usual"], rtol=0.05)
    assert not torch.allclose(further["usual"], added["usual"], rtol=0.05)


def test_nothing_is_called_usual_later_where_nothing_was():
    method = PatchMemory(PatchMemoryConfig(features="random"))
    state = method.fit(torch.randint(256, (9, 3, 16, 16), dtype=torch.uint8))
    assert "usual" not in state
    assert "usual" not in method.extend(state, torch.randint(256, (30, 3, 16, 16), dtype=torch.uint8), np.arange(30))


def test_a_state_of_an_earlier_version_is_refused():
    config = PatchMemoryConfig(model="gaussian")
    state = fit(config, [correlated(4)], np.arange(4))
    del state["patches"]
    with pytest.raises(UserError, match="earlier version"):
        extended(config, state, [correlated(2)], np.arange(2))
