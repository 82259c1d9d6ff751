"""A batch's losses under the flow in training, row by row."""

from typing import NamedTuple

import torch
from torch import Tensor

from workloads.flows.config import FlowConfig
from workloads.flows.feed import FlowBatch
from workloads.flows.losses import mixture, outlier_margin, outlier_ratio, supervised
from workloads.flows.networks.conditional import ConditionalFlow
from workloads.flows.networks.flow import Flow


class Losses(NamedTuple):
    """Each (b,). normal: loss of the normal image; outlier: of the general one, 0 without; log_prob: log p(x), nats."""

    normal: Tensor
    outlier: Tensor
    log_prob: Tensor

    def finite(self) -> Tensor:
        """(b,) bool: rows all of whose values are finite."""
        return torch.stack(self).isfinite().all(0)


def losses(config: FlowConfig, net: Flow, general: Flow | None, batch: FlowBatch) -> Losses:
    """Normal and auxiliary images go through the flow in one pass, and through the frozen general flow in another."""
    count, weight, temperature = len(batch.images), config.outlier_weight, config.outlier_temperature
    whole = batch.images if batch.outliers is None else torch.cat([batch.images, batch.outliers])
    log_general = reference(config, general, batch)
    if batch.labels is not None and isinstance(net, ConditionalFlow):
        log_classes = net.class_log_prob(whole)
        log_prob = mixture(log_classes)
        normal = supervised(log_classes[:count], log_general[:count], batch.labels, weight, temperature)
    else:
        log_prob = net(whole).log_prob
        normal = -log_prob[:count]
    if batch.outliers is None:
        outlier = torch.zeros_like(normal)
    elif config.outlier_loss == "ratio":
        outlier = outlier_ratio(log_prob[count:], log_general[-count:], weight, temperature)
    else:
        outlier = outlier_margin(log_prob[:count], log_prob[count:], margin=float(whole[0].numel()))
    return Losses(normal, outlier, log_prob[:count].detach())


@torch.no_grad()
def reference(config: FlowConfig, general: Flow | None, batch: FlowBatch) -> Tensor:
    """log p_general, nats, of the images whose losses ask for it: the normal ones where they have labels, then the
    outliers where they are held against it."""
    compared = [batch.images] if batch.labels is not None else []
    if batch.outliers is not None and config.outlier_loss == "ratio":
        compared.append(batch.outliers)
    if not compared or general is None:
        return batch.images.new_zeros(0)
    log_prob: Tensor = general(torch.cat(compared)).log_prob
    return log_prob
