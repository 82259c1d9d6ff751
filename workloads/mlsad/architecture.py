"""Layer tables of the MLSAD networks as plain numbers, and what they cost. No torch: a dry run must be instant."""

import math

TRUNKS: dict[int, tuple[tuple[int, int], ...]] = {  # level -> (kernel, channels) of its valid convolutions
    1: ((1, 64),),
    2: ((2, 64),),
    4: ((4, 128),),
    8: ((4, 64), (3, 128), (3, 256)),
    16: ((4, 64), (3, 128), (3, 128), (3, 256), (3, 256), (3, 256), (3, 256)),
}
HEADS = {1: 128, 2: 128, 4: 256, 8: 512, 16: 512}  # level -> channels of the 1x1 stage
RGB = 3


def scaled(channels: int, width: float) -> int:
    """A channel count times the width, a multiple of 4 so that minibatch features divide it."""
    return max(4, 4 * round(channels * width / 4))


def map_side(side: int, level: int) -> int:
    """Side of a level's score map: one cell for every k x k window of an image of that side."""
    return side - level + 1


def encoder_channels(side: int) -> list[int]:
    """Channels of the stride-2 stages from side/2 down to 4: 64, 128, 256 at 32 pixels. Raises ValueError."""
    stages = int(math.log2(side)) - 2 if side >= 8 else 0
    if stages < 1 or side != 4 * 2**stages:
        raise ValueError(f"the generator needs a side that is a power of two from 8 on, found {side}")
    return [min(64 * 2**i, 256) for i in range(stages)]


def trunk_macs(level: int, side: int, width: float, inner: int, extra: int = 0) -> float:
    """Multiply-accumulates of a trunk on one image; `extra` channels join after every layer."""
    total = 0.0
    for kernel, out in TRUNKS[level]:
        side -= kernel - 1
        total += side**2 * kernel**2 * inner * scaled(out, width)
        inner = scaled(out, width) + extra
    return total


def detector_macs(level: int, side: int, width: float, blocks: int, channels: int = RGB) -> float:
    """One forward pass of D_k on one image."""
    last, head = scaled(TRUNKS[level][-1][1], width), scaled(HEADS[level], width)
    cell = (last + 2) * head + blocks * 2 * head**2 + head
    return trunk_macs(level, side, width, channels) + map_side(side, level) ** 2 * cell


def discriminator_macs(level: int, side: int, width: float, channels: int = RGB) -> float:
    """One forward pass of Dg_k on one image."""
    last, head = scaled(TRUNKS[level][-1][1], width) + 4, scaled(HEADS[level], width)
    hidden = head // 2 if HEADS[level] == 512 else head
    cell = last * head + 4 * head * hidden + head
    return trunk_macs(level, side, width, channels + 2, extra=4) + map_side(side, level) ** 2 * cell


def generator_macs(side: int, width: float, channels: int = RGB) -> float:
    """One forward pass of G on one image."""
    sizes = [scaled(c, width) for c in encoder_channels(side)]
    total, cells, inner = 0.0, side, channels
    for out in sizes:
        cells //= 2
        total += cells**2 * (16 * inner * out + out**2)
        inner = out
    total += 2 * 16 * sizes[-1] * scaled(512, width)
    inner = 2 * sizes[-1]
    for out in reversed(sizes[:-1]):
        cells *= 2
        total += cells**2 * (9 * inner * out + out**2)
        inner = 2 * out
    return total + side**2 * (9 * inner * sizes[0] + sizes[0] * channels)


def statistics_macs(side: int, width: float, channels: int = RGB) -> float:
    """One forward pass of T on one image."""
    down = [scaled(min(2 * c, 256), width) for c in encoder_channels(side)]
    first, last = scaled(64, width), scaled(512, width)
    total, cells, inner = side**2 * (9 * 2 * channels * first + first**2), side, first
    for out in down:
        cells //= 2
        total += cells**2 * (16 * inner * out + out**2)
        inner = out
    return total + 16 * inner * last + first + sum(down) + last


def generator_step_macs(level: int, side: int, width: float, channels: int = RGB) -> float:
    """One adversarial step for one real image: a backward pass counts as two forward passes.

    Dg_k: real and fake with their gradients, then fake again with the gradient of its input; G forward once and twice
    backward; T on joint and shuffled pairs with their gradients.
    """
    return (
        (3 + 3 + 2) * discriminator_macs(level, side, width, channels)
        + 5 * generator_macs(side, width, channels)
        + 6 * statistics_macs(side, width, channels)
    )


def detector_step_macs(level: int, side: int, width: float, blocks: int, channels: int = RGB) -> float:
    """One step of D_k for one normal image: three logit maps with their gradients, the trunk shared by two of them."""
    trunk = trunk_macs(level, side, width, channels)
    return 3 * (3 * detector_macs(level, side, width, blocks, channels) - trunk)


def trunk_kept(level: int, side: int, width: float, extra: int = 0) -> float:
    """Numbers that a trunk's backward pass needs of one image: each layer's output before and after its activation."""
    total = 0.0
    for kernel, out in TRUNKS[level]:
        side -= kernel - 1
        total += 2 * side**2 * (scaled(out, width) + extra)
    return total


def detector_kept(level: int, side: int, width: float, blocks: int) -> float:
    """Numbers kept of one normal image in a step of D_k: three logit maps, the trunk shared by two of them."""
    head = scaled(HEADS[level], width)
    cell = (2 + 4 * blocks) * head + 1
    return 3 * map_side(side, level) ** 2 * cell + 2 * trunk_kept(level, side, width)


def generator_kept(level: int, side: int, width: float, channels: int = RGB) -> float:
    """Numbers kept of one image in an adversarial step: Dg_k on real and fake, G, T on joint and shuffled pairs."""
    sizes = [scaled(c, width) for c in encoder_channels(side)]
    maps = sum(2 * (side // 2 ** (i + 1)) ** 2 * 4 * c for i, c in enumerate(sizes))
    head = scaled(HEADS[level], width)
    judge = trunk_kept(level, side, width, extra=4) + map_side(side, level) ** 2 * 8 * head
    return 2 * judge + maps + side**2 * (2 * sizes[0] + channels) + 2 * (2 * side**2 * scaled(64, width) + maps)


def generator_parameters(level: int, side: int, width: float, channels: int = RGB) -> float:
    """Trained numbers of G, T and Dg_k, roughly: their kernels."""
    sizes = [scaled(c, width) for c in encoder_channels(side)]
    inner, total = channels, 0.0
    for out in sizes:
        total += (2 * 16 + 9 * 2) * inner * out + 3 * out**2
        inner = out
    bottleneck = 3 * 16 * sizes[-1] * scaled(512, width)
    return total + bottleneck + detector_parameters(level, width, blocks=4, channels=channels + 2)


def generator_messages(side: int) -> int:
    """Messages of a generator's step between workers that share its batches, counted: most are the two statistics of a
    normalisation, of each of the encoder's and the decoder's layers, forward and backward."""
    return 10 + 24 * len(encoder_channels(side))


def detector_parameters(level: int, width: float, blocks: int, channels: int = RGB) -> float:
    """Trained numbers of D_k: kernels of the trunk, of the head and of its residual blocks."""
    inner, total = channels, 0.0
    for kernel, out in TRUNKS[level]:
        total += kernel**2 * inner * scaled(out, width)
        inner = scaled(out, width)
    head = scaled(HEADS[level], width)
    return total + (inner + 2) * head + 2 * blocks * head**2
