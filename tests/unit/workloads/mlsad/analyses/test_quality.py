"""The report on generators says what is true of banks whose faults were made on purpose."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.data.view import TargetView
from workloads.keys import config_problems
from workloads.learner import Fitted
from workloads.mlsad.analyses.distances import diversity, mean_difference, nearest, pairwise
from workloads.mlsad.analyses.judge import Images, accuracy, cropped
from workloads.mlsad.analyses.quality import generators, held_out, quality, samples
from workloads.mlsad.config import MLSADConfig
from workloads.mlsad.networks.layers import at_once, coordinates

QUICK = MLSADConfig(width=0.25, grey_as_rgb=False, quality_steps=200)
TINY = replace(QUICK, width=0.0625, quality_steps=2)
SMALL = 8  # side of the images that classifiers learn from here


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def noise(count: int, seed: int, channels: int = 1) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, 16, 16), generator=source, dtype=torch.uint8)


def stripes(count: int, seed: int, ordered: bool, side: int = SMALL) -> Tensor:
    """Columns of black or white. Ordered: two pixels on, the opposite, so 0011 at any phase; else all independent.

    Any two neighbouring columns are equally often 00, 01, 10 and 11 in both, at every place.
    """
    bits = torch.randint(2, (count, side), generator=torch.Generator().manual_seed(seed))
    if ordered:
        columns = torch.arange(side)
        bits = bits[:, columns % 2] ^ (columns // 2 % 2)
    return (bits * 255).to(torch.uint8)[:, None, None].expand(-1, 1, side, -1).contiguous()


def trained(
    bank: Tensor, train: Tensor | None = None, val: int = 64, levels: tuple[int, ...] = (2, 4, 8)
) -> tuple[TargetView, Fitted]:
    view = TargetView(
        target="3",
        train=noise(40, seed=1) if train is None else train,
        val=noise(val, seed=2),
        test=noise(20, seed=3),
        anomalous=np.arange(20) % 2 == 1,
    )
    return view, Fitted({f"generator/3/level_{k}": {"fakes": bank} for k in levels})


# --- the fresh classifier


def test_fakes_whose_patches_differ_are_told_apart() -> None:
    real, fake = stripes(96, 1, ordered=True), noise(96, 2)[..., :SMALL, :SMALL]
    found = accuracy(QUICK, 2, Images(real[:64], real[64:]), Images(fake[:64], fake[64:]), seed=0)
    assert found is not None
    assert found > 0.9


def test_fakes_of_the_same_distribution_are_not_told_apart() -> None:
    real, fake = stripes(600, 1, ordered=False), stripes(600, 2, ordered=False)
    found = accuracy(QUICK, 2, Images(real[:400], real[400:]), Images(fake[:400], fake[400:]), seed=0)
    assert found == pytest.approx(0.5, abs=0.05)


def test_a_structure_above_k_is_seen_at_2k_alone() -> None:
    real, fake = stripes(600, 1, ordered=True), stripes(600, 2, ordered=False)
    parts = Images(real[:400], real[400:]), Images(fake[:400], fake[400:])
    # at 4 the best possible is 14/16: 4 of the 16 windows of independent columns happen to be ordered
    at_2, at_4 = (accuracy(QUICK, field, *parts, seed=0) for field in (2, 4))
    assert at_2 == pytest.approx(0.5, abs=0.05)
    assert at_4 is not None
    assert 0.8 < at_4 < 0.92


def test_a_classifier_depends_on_its_seed_alone() -> None:
    config = replace(TINY, quality_steps=20)
    parts = [Images(x[:40], x[40:]) for x in (stripes(80, 1, ordered=True), stripes(80, 2, ordered=False))]
    torch.manual_seed(1)
    one = accuracy(config, 4, *parts, seed=0)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert accuracy(config, 4, *parts, seed=0) == one
    assert torch.equal(torch.get_rng_state(), before)
    assert accuracy(config, 4, *parts, seed=1) != one


# --- distances


def test_distances_are_root_mean_squares_of_numpy() -> None:
    a, b = noise(5, 1, channels=3), noise(300, 2, channels=3)  # more than a block
    found = a.numpy()[:, None] / 255 - b.numpy()[None] / 255
    expected = np.sqrt((found**2).mean((2, 3, 4)))
    np.testing.assert_allclose(pairwise(a, b).numpy(), expected, rtol=1e-12)
    assert nearest(a, b) == pytest.approx(expected.min(1).mean())
    black, white = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    assert nearest(black, white) == mean_difference(black, white) == 1
    assert diversity(torch.cat([black[:1], white[:1]])) == 1


def test_distances_of_no_images_are_undefined() -> None:
    some = noise(1, 1)
    assert nearest(some[:0], some) is nearest(some, some[:0]) is mean_difference(some[:0], some) is None
    assert diversity(some) is None


# --- the report


def test_memorised_fakes_are_at_distance_0_of_training_images() -> None:
    train = noise(40, seed=1)
    numbers = quality(TINY, 2, *trained(train.flip(0), train), seed=0).numbers
    assert numbers["G_2/nearest_fake"] == 0
    assert numbers["G_2/mean_image"] == 0
    assert numbers["G_2/nearest_real"] > 0.2


def test_a_collapsed_bank_has_no_diversity() -> None:
    numbers = quality(TINY, 4, *trained(noise(1, 5).expand(30, -1, -1, -1)), seed=0).numbers
    assert numbers["G_4/diversity_fake"] == 0
    assert numbers["G_4/diversity_real"] == pytest.approx(np.sqrt(1 / 6), abs=0.01)  # of independent uniform pixels


def test_a_report_covers_all_generators_and_is_the_same_for_a_seed() -> None:
    found, again = (generators(TINY, *trained(noise(30, 5)), seed=0) for _ in range(2))
    names = {
        *("accuracy_at_k", "accuracy_at_2k", "nearest_fake", "nearest_real", "diversity_fake", "diversity_real"),
        *("mean_image", "mean_image_real", "information", "lambda"),
    }
    assert found.numbers.keys() == {f"G_{k}/{n}" for k in (2, 4, 8) for n in names} | {"held_out/val", "held_out/test"}
    assert found.numbers == again.numbers
    assert np.array_equal(found.pictures["generators"], again.pictures["generators"])


def test_a_report_has_the_generators_of_the_levels_alone() -> None:
    numbers = generators(replace(TINY, levels=(1, 2, 4)), *trained(noise(8, 5), levels=(2,)), seed=0).numbers
    assert {name.partition("/")[0] for name in numbers} == {"held_out", "G_2"}


def test_the_entropy_term_is_read_from_the_history() -> None:
    rows = [{"step": s, "information": i, "lambda": v} for s, i, v in ((0, -1.4, 1.0), (1, -1.2, 0.5))]
    view, fitted = trained(noise(8, 5))
    numbers = quality(TINY, 2, view, replace(fitted, histories={"generator/3/level_2": rows}), 0).numbers
    assert (numbers["G_2/information"], numbers["G_2/lambda"]) == (-1.2, 0.75)
    bare = quality(TINY, 2, *trained(noise(8, 5)), 0).numbers
    assert bare["G_2/information"] is bare["G_2/lambda"] is None


def test_normal_test_images_help_out_where_validation_images_are_few() -> None:
    (many, _), (few, fitted) = trained(noise(8, 5), val=64), trained(noise(8, 5), val=5)
    assert torch.equal(held_out(many), many.val)
    assert torch.equal(held_out(few), torch.cat([few.val, few.test[::2]]))
    numbers = generators(replace(TINY, levels=(1, 2)), few, fitted, seed=0).numbers
    assert numbers == {"held_out/val": 5, "held_out/test": 10}


def test_without_held_out_images_numbers_are_undefined() -> None:
    view, fitted = trained(noise(8, 5), val=0)
    numbers = quality(TINY, 2, replace(view, anomalous=np.ones(20, bool)), fitted, 0).numbers
    undefined = {name.removeprefix("G_2/") for name, value in numbers.items() if value is None}
    real = {"nearest_real", "diversity_real", "mean_image_real"}
    assert undefined == real | {"accuracy_at_k", "accuracy_at_2k", "information", "lambda"}


def test_grey_images_meet_rgb_fakes() -> None:
    numbers = quality(replace(TINY, grey_as_rgb=True), 2, *trained(noise(40, 1).expand(-1, 3, -1, -1)), 0).numbers
    assert numbers["G_2/nearest_fake"] == 0


def test_a_missing_generator_is_named() -> None:
    with pytest.raises(ValueError, match="G_8 needs the artifact of generator/3/level_8"):
        generators(TINY, *trained(noise(8, 5), levels=(2, 4)), seed=0)


def test_no_steps_are_refused() -> None:
    assert ("quality_steps", "must be above 0") in list(config_problems(replace(TINY, quality_steps=0)))


# --- the picture


def test_rows_are_real_noise_shuffled_and_generators_in_order() -> None:
    train = stripes(20, 1, ordered=True, side=16) // 255 * 100  # only 0 and 100
    view, _ = trained(noise(8, 0), train)
    banks = {k: torch.full((20, 1, 16, 16), 10 * k, dtype=torch.uint8) for k in (2, 4, 8)}
    artifacts = {f"generator/3/level_{k}": {"fakes": bank} for k, bank in banks.items()}
    rows = samples(TINY, view, Fitted(artifacts), [2, 4, 8], seed=0)
    assert list(rows) == ["real", "noise", "shuffled", "G_2", "G_4", "G_8"]
    assert torch.equal(rows["real"], train[:8])
    assert len(rows["noise"].unique()) > 100
    assert set(rows["shuffled"].unique().tolist()) == {0, 100}
    assert (rows["shuffled"] != rows["shuffled"][:, :, :1]).any()  # columns no longer hold together
    assert [rows[f"G_{k}"].unique().tolist() for k in (2, 4, 8)] == [[20], [40], [80]]
    picture = generators(TINY, view, Fitted(artifacts), seed=0).pictures["generators"]
    assert picture.shape[0] > 6 * 64


def test_judges_of_large_images_train_on_crops_that_know_their_place() -> None:
    config = replace(TINY, crop=24)
    images = torch.arange(32 * 32, dtype=torch.int32).view(1, 1, 32, 32).expand(6, -1, -1, -1).float()
    place = coordinates(32, 4, images.device)
    cut, where = cropped(config, images, place, seed=3)
    assert (cut.shape, where.shape) == ((6, 1, 24, 24), (6, 2, 21, 21))
    for image, own in zip(cut, where, strict=True):
        top, left = divmod(int(image[0, 0, 0]), 32)
        assert torch.equal(own, place[0, :, top : top + 21, left : left + 21])
    assert cropped(TINY, images, place, seed=3)[0] is images


@pytest.mark.parametrize(("side", "expected"), [(8, 64), (32, 64), (64, 16), (256, 1), (1024, 1)])
def test_larger_images_go_fewer_at_once(side, expected) -> None:
    assert at_once(64, side) == expected
