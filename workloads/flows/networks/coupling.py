"""Affine coupling: half of the channels decide how the other half is shifted and scaled."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

RAW_SHIFT = 2.0  # the scale starts at sigmoid(2) = 0.88


class Coupling(nn.Module):
    """lo stays, hi' = (hi + t(lo)) s(lo), s = sigmoid(r(lo) + 2); logdet = sum log s. The sigmoid bounds the gain.

    The network's even output channels are t, the odd ones r; an additive coupling has t alone and s = 1.
    checkpointing: the network's activations are computed again in the backward pass. autocast: the network runs in
    bfloat16 while training; its output, the scale, the logdet and whatever is evaluated stay in float32.
    """

    def __init__(self, net: nn.Module, affine: bool, checkpointing: bool = False, autocast: bool = False) -> None:
        super().__init__()
        self.net = net
        self.affine, self.checkpointing, self.autocast = affine, checkpointing, autocast

    def conditioned(self, lo: Tensor, measure: bool = False) -> tuple[Tensor, Tensor]:
        """Shift t and log s of lo (B, C/2, H, W), each of that shape."""
        with torch.autocast(lo.device.type, torch.bfloat16, enabled=self.autocast and self.training and not measure):
            if self.checkpointing and torch.is_grad_enabled():
                out = checkpoint(self.net, lo, use_reentrant=False, preserve_rng_state=False)
            else:
                out = self.net(lo, measure)
        out = out.to(lo.dtype)
        if not self.affine:
            return out, torch.zeros_like(out)
        return out[:, 0::2], F.logsigmoid(out[:, 1::2] + RAW_SHIFT)

    def forward(self, x: Tensor, measure: bool = False) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) -> y of that shape, logdet (B,)."""
        lo, hi = x.chunk(2, 1)
        shift, log_s = self.conditioned(lo, measure)
        return torch.cat([lo, (hi + shift) * log_s.exp()], 1), log_s.sum((1, 2, 3))

    def inverse(self, y: Tensor) -> Tensor:
        lo, hi = y.chunk(2, 1)
        shift, log_s = self.conditioned(lo)
        return torch.cat([lo, hi * (-log_s).exp() - shift], 1)
