"""The losses in nats, against hand-computed values, loops and finite differences."""

import math

import pytest
import torch
from torch.nn import functional as F

from workloads.flows.losses import mixture, outlier_margin, outlier_ratio, supervised


def test_an_outlier_as_likely_under_both_flows_costs_w_ln_2_and_is_pushed_three_times_as_hard_as_an_inlier() -> None:
    log_in = torch.tensor([9900.0], requires_grad=True)
    loss = outlier_ratio(log_in, torch.tensor([9900.0]), weight=6000, temperature=1000)
    assert float(loss.detach()) == pytest.approx(4158.88, abs=0.01)
    loss.sum().backward()
    assert float(log_in.grad) == pytest.approx(3.0)


def test_the_general_flow_gets_no_gradient() -> None:
    log_general = torch.tensor([3.0], requires_grad=True)
    loss = outlier_ratio(torch.tensor([5.0], requires_grad=True), log_general, 6000, 1000)
    loss.sum().backward()
    assert log_general.grad is None


def test_the_margin_loss_pairs_by_position_and_moves_only_the_outliers() -> None:
    log_in = torch.tensor([10.0, 10.0], requires_grad=True)
    log_out = torch.tensor([9.0, -95.0], requires_grad=True)
    loss = outlier_margin(log_in, log_out, margin=100)
    assert loss.tolist() == [99.0, 0.0]
    loss.sum().backward()
    assert log_in.grad is None
    assert log_out.grad.tolist() == [1.0, 0.0]


def test_the_supervised_loss_equals_a_loop_over_images_and_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    log_classes = torch.randn(5, 4, generator=generator) * 500
    log_general, labels = torch.randn(5, generator=generator) * 500, torch.tensor([0, 3, 1, 1, 2])
    expected = []
    for row, general, label in zip(log_classes.tolist(), log_general.tolist(), labels.tolist(), strict=True):
        wrong = [math.log1p(math.exp((row[y] - general) / 1000)) for y in range(4) if y != label]
        expected.append(-row[label] + 6000 * sum(wrong) / 4)
    torch.testing.assert_close(supervised(log_classes, log_general, labels, 6000, 1000), torch.tensor(expected))


def test_the_mixture_of_equal_classes_is_each_of_them_and_one_class_alone_loses_ln_c() -> None:
    equal = torch.full((1, 7), -12.5)
    torch.testing.assert_close(mixture(equal), torch.tensor([-12.5]))
    alone = F.pad(torch.tensor([[4.0]]), (0, 6), value=-math.inf)
    torch.testing.assert_close(mixture(alone), torch.tensor([4.0 - math.log(7)]))
