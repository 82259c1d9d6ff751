"""Digits, and what holds of every dataset."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workloads.data.catalogue import entry
from workloads.data.datasets import load


def test_digits_are_whole_and_split_in_halves(tmp_path: Path) -> None:
    digits = load("digits", tmp_path)
    assert len(digits.train) + len(digits.test) == 1797
    assert len(digits.test) == entry("digits").test_images
    assert not set(digits.train.ids) & set(digits.test.ids)
    assert digits.train.images.shape[1:] == (1, 8, 8)
    assert digits.train.images.max() == 255
    for label in range(10):
        halves = [np.count_nonzero(part.labels == label) for part in (digits.train, digits.test)]
        assert halves[0] - halves[1] in (0, 1)
    again, other = load("digits", tmp_path), load("digits", tmp_path, seed=1)
    assert again.train.ids == digits.train.ids
    assert other.train.ids != digits.train.ids


def test_masks_and_tested_on_must_fit(tmp_path: Path) -> None:
    digits = load("digits", tmp_path)
    masks = np.zeros((len(digits.test), 8, 8), np.uint8)
    assert replace(digits, masks=masks, tested_on={"3": ("3", "8")}).masks is masks
    for wrong in (masks[1:], masks.astype(bool), masks + np.uint8(2), masks[:, :4]):
        with pytest.raises(ValueError, match="masks must be uint8"):
            replace(digits, masks=wrong)
    with pytest.raises(ValueError, match="tested_on names eight"):
        replace(digits, tested_on={"3": ("3", "eight")})
