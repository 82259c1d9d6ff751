"""Features of patches: what a pretrained network, seeded random convolutions, or the pixels say of a place."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, unfold

from workloads.data.conform import as_channels
from workloads.data.reading.published_files import one_line
from workloads.errors import UserError, nearest
from workloads.patch_memory.config import LITE, NETWORKS, NO_NETWORK, PIXELS, RANDOM, PatchMemoryConfig
from workloads.patch_memory.weights import digest, fetch, loaded

PIXELS_AT_ONCE = 2**20  # of images in one pass: 200 MB of activations in a wide ResNet
PIXELS_OF_A_CPU = 2**18  # larger activations are mapped anew each time, which takes as long as the network itself
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE_SCALE = ((127 / 255,) * 3, (128 / 255,) * 3)
PROBED_SIDES = (128, 192)
CONVOLUTIONAL = "name layers of a convolutional network, such as resnet18's layer2"
CONVOLUTIONS = (32, 64)  # channels of the random ones


class _ReachedError(Exception):
    """The last layer that is wanted has its output."""


class Features:
    """weights: what the features depend on beside the config: the SHA-256 of the network's file, or none."""

    def __init__(self, config: PatchMemoryConfig, device: torch.device) -> None:
        self.config, self.device, self.weights = config, device, ""
        self.layers: tuple[str, ...] = ()
        if config.features in NO_NETWORK:
            self.kernels = random_kernels(config.seed, device)
            return
        file = fetch(config.features, config.checkpoint)
        self.weights = digest(str(file))
        scale = LITE_SCALE if config.features == LITE else IMAGENET
        self.scale = tuple(torch.tensor(v, device=device).view(1, 3, 1, 1) for v in scale)
        self.network = loaded(config.features, file).to(device).to(memory_format=torch.channels_last)
        default = NETWORKS[config.features].layers if config.features in NETWORKS else ()
        self.layers = config.layers or default
        check_layers(self.network, self.layers)
        if config.layers:
            self.check_places()

    @torch.no_grad()
    def check_places(self) -> None:
        """Raises UserError where the output of a layer is no (N, C, H, W): its channels would change with the side."""
        shapes = []
        for side in PROBED_SIDES:
            try:
                outputs = self.outputs(torch.zeros(1, 3, side, side, device=self.device))
            except Exception as error:
                headline = f"{self.config.features} cannot be run on images of {side} x {side}: {one_line(error)[:200]}"
                raise UserError(headline, where="layers", fix=CONVOLUTIONAL) from error
            shapes.append([tuple(x.shape) if isinstance(x, Tensor) else () for x in outputs])
        for layer, *both in zip(self.layers, *shapes, strict=True):
            if any(len(shape) != 4 or shape[:2] != (1, both[0][1]) for shape in both):
                texts, sides = (" and ".join(map(str, pair)) for pair in (both, PROBED_SIDES))
                headline = f"the output of {layer!r} is no (N, C, H, W): {texts} of images of {sides} pixels"
                raise UserError(headline, where="layers", fix=CONVOLUTIONAL)

    def chunks(self, images: Tensor) -> Iterator[Tensor]:
        """Features of some images at a time, in their order: float32 (n, D, h, w), from uint8 (N, C, H, W)."""
        pixels = PIXELS_OF_A_CPU if self.device.type == "cpu" else PIXELS_AT_ONCE
        at_once = max(1, pixels // max(1, images.shape[2] * images.shape[3]))
        for part in images.split(at_once):
            yield self.of(part.to(self.device))

    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """float32 (N, D, h, w): layers averaged over the neighbourhood, brought to the first one's places, joined."""
        if self.config.features == PIXELS:
            return raw_patches(images)
        if self.config.features == RANDOM:
            outputs = convolved(images, self.kernels)
        else:
            outputs = self.outputs(enlarged(as_channels(images, 3).float() / 255, self.config.least_side))
        side, pooling = outputs[0].shape[2:], self.config.pooling
        # zeros count at borders, as in PatchCore's code: shrunk features there have shorter distances
        pooled = [avg_pool2d(x, pooling, 1, pooling // 2) for x in outputs]
        return torch.cat([interpolate(x, side, mode="bilinear", align_corners=False) for x in pooled], 1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Of the wanted layers, from RGB in [0, 1]; the network is left behind the last of them."""
        mean, deviation = self.scale
        results: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
                results[name] = output
                exported = isinstance(output.shape[0], torch.SymInt)  # its trace must leave every module it enters
                if len(results) == len(self.layers) and not exported:
                    raise _ReachedError

            return hook

        handles = [self.network.get_submodule(name).register_forward_hook(keep(name)) for name in self.layers]
        try:
            self.network(((x - mean) / deviation).contiguous(memory_format=torch.channels_last))
        except _ReachedError:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return [results[name] for name in self.layers]


@lru_cache(maxsize=2)
def features(config: PatchMemoryConfig, device: torch.device) -> Features:
    """The features of a config, whose network is read once a process."""
    return Features(config, device)


def check_layers(network: nn.Module, layers: Sequence[str]) -> None:
    """Raises UserError for a layer that the network has not."""
    names = [name for name, _ in network.named_modules() if name]
    for layer in layers:
        if layer not in names:
            raise UserError(f"the network has no layer {layer!r}; {nearest(layer, names)}", where="layers")


def enlarged(x: Tensor, least_side: int) -> Tensor:
    """Images whose shorter side has as many pixels at least, bilinear; as they are where it has."""
    scale = least_side / min(x.shape[2:])
    if scale <= 1:
        return x
    size = [max(least_side, round(scale * side)) for side in x.shape[2:]]
    return interpolate(x, size, mode="bilinear", align_corners=False)


def random_kernels(seed: int, device: torch.device) -> dict[int, list[Tensor]]:
    """Kernels 3 x 3 of two convolutions for 1 and for 3 channels: He's scale, without bias."""
    kernels: dict[int, list[Tensor]] = {}
    for channels in (1, 3):
        generator, inner = torch.Generator().manual_seed(seed), channels
        kernels[channels] = []
        for outer in CONVOLUTIONS:
            drawn = torch.randn(outer, inner, 3, 3, generator=generator) * (2 / (9 * inner)) ** 0.5
            kernels[channels].append(drawn.to(device))
            inner = outer
    return kernels


def convolved(images: Tensor, kernels: dict[int, list[Tensor]]) -> list[Tensor]:
    """Outputs of random convolutions, every layer's: the second sees the first one's halved. The places are those of
    half the pixels, of all in images below 64 pixels."""
    x, outputs = images.float() / 127.5 - 1, []
    stride = 1 if min(images.shape[2:]) < 64 else 2
    for kernel in kernels[images.shape[1]]:
        padded = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        x = leaky_relu(nn.functional.conv2d(padded, kernel, stride=stride), 0.2)
        outputs.append(x)
        stride = 2
    return outputs


def raw_patches(images: Tensor) -> Tensor:
    """Squares of 8 x 8 pixels in [0, 1], every fourth: (N, 64 C, h, w). Smaller images are a patch of their own."""
    side = min(8, *images.shape[2:])
    stride = max(1, side // 2)
    x = images.float() / 255
    places = [(length - side) // stride + 1 for length in images.shape[2:]]
    return unfold(x, side, stride=stride).unflatten(2, places)


def fetched(config: PatchMemoryConfig, data_dir: Path | None) -> None:
    """See that the weights are on this machine, and that layers other than the defaults have features of places.
    Raises UserError where not."""
    if config.features in NO_NETWORK:
        return
    fetch(config.features, config.checkpoint, data_dir)
    if config.layers:
        check_network(config.features, config.checkpoint, config.layers)


@lru_cache
def check_network(name: str, checkpoint: str, layers: tuple[str, ...]) -> None:
    """As `Features.check_places`, once for all configs of a launch."""
    Features(PatchMemoryConfig(features=name, checkpoint=checkpoint, layers=layers), torch.device("cpu"))
