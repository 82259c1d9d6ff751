"""Shifts and mirror images: what they may do to an image, and that any number of workers draws the same."""

import torch
from torch import Tensor

from workloads.flows.augment import augmented
from workloads.training.distributed import Draws, Parallel


def images(count: int = 200, side: int = 10) -> Tensor:
    """Distinct bright values, so that any move can be read off."""
    return (100 + torch.arange(side * side)).to(torch.uint8).view(1, 1, side, side).repeat(count, 2, 1, 1)


def draw(parallel: Parallel, translate: float, flip: bool, whole: Tensor) -> Tensor:
    draws = Draws(5, torch.device("cpu"), parallel)
    return augmented(whole[parallel.rows(len(whole))], draws, len(whole), translate, flip)


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """By slices: the reference."""
    side, moved = image.shape[-1], torch.zeros_like(image)
    to = [slice(max(d, 0), side + min(d, 0)) for d in (down, right)]
    of = [slice(max(-d, 0), side + min(-d, 0)) for d in (down, right)]
    moved[..., to[0], to[1]] = image[..., of[0], of[1]]
    return moved


def test_every_image_is_one_of_the_allowed_shifts_and_all_of_them_occur() -> None:
    whole = images()
    allowed = {(i, j): shifted(whole[0], i, j) for i in range(-2, 3) for j in range(-2, 3)}
    found = set()
    for image in draw(Parallel(), 0.2, False, whole):
        fitting = [move for move, expected in allowed.items() if torch.equal(image, expected)]
        assert len(fitting) == 1
        found.update(fitting)
    assert found == set(allowed)


def test_a_mirror_image_is_one_and_about_half_are() -> None:
    whole = images()
    out = draw(Parallel(), 0.0, True, whole)
    mirrored = torch.tensor([torch.equal(image, whole[0].flip(-1)) for image in out])
    assert all(torch.equal(image, whole[0]) for image in out[~mirrored])
    assert 60 < int(mirrored.sum()) < 140


def test_without_either_nothing_changes() -> None:
    whole = images(8)
    assert torch.equal(draw(Parallel(), 0.0, False, whole), whole)


def test_workers_with_unequal_rows_make_up_the_draw_of_one() -> None:
    whole = images(7)
    parts = [draw(Parallel(rank, 3), 0.2, True, whole) for rank in range(3)]
    assert sorted(map(len, parts)) == [2, 2, 3]
    assert torch.equal(torch.cat(parts), draw(Parallel(), 0.2, True, whole))
