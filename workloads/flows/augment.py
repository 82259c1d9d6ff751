"""Random shifts and mirror images on the device, drawn for the whole batch so that its workers agree."""

import torch
from torch import Tensor

from workloads.training.distributed import Draws


def augmented(images: Tensor, draws: Draws, batch: int, translate: float, flip: bool) -> Tensor:
    """This worker's images, uint8 (b, C, S, S), each shifted by up to `translate` of the side and maybe mirrored.

    batch: of all workers together. Shifts are uniform, rounded to whole pixels; what moves in is 0. Both are drawn
    whether they are used or not: a key then changes nothing else.
    """
    shifts, mirrored = draws.uniform((batch, 2)), draws.uniform((batch,)) < 0.5
    if flip:
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    if not translate:
        return images
    side = images.shape[-1]
    moved = ((shifts * 2 - 1) * translate * side).round().long()
    places = torch.arange(side, device=images.device) - moved[:, :, None]  # (b, 2, S): where each pixel comes from
    inside = (places >= 0) & (places < side)
    rows, columns = places.clamp(0, side - 1).unbind(1)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    shifted = images.movedim(1, -1)[image, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
    seen = inside[:, 0, :, None] & inside[:, 1, None, :]
    return shifted * seen[:, None]
