"""Input complexity: how many bits a general-purpose codec needs for an image.

Source: Serra et al., ICLR 2020, as Schirrmeister et al. replicated it: PNG at compression level 9, header included.
They wrote PNG with OpenCV; Pillow chooses row filters of its own, so lengths differ by a few bytes (guess: rankings do
not). A file's header is the same for all images of a shape and moves no AUROC.
"""

import math
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from workloads.errors import UserError
from workloads.flows.config import Codec

OPTIONS: dict[Codec, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 9},
    "jpeg2000": {"format": "JPEG2000", "irreversible": False},
    "webp": {"format": "WEBP", "lossless": True, "method": 6, "quality": 100},
}
FEATURES: dict[Codec, str] = {"png": "zlib", "jpeg2000": "jpg_2000", "webp": "webp"}


def code_length(images: Tensor, codec: Codec) -> Tensor:
    """L(x) = 8 bytes / (C S S), in bits/dim, (N,) float64 on the CPU, from uint8 (N, 1 or 3, S, S).

    All codecs are lossless. Raises UserError where this machine's Pillow was built without the codec.
    """
    if not features.check(FEATURES[codec]):
        raise UserError(f"Pillow has no {codec} here", "complexity_codec", fix="set complexity_codec to 'png'")
    pixels = images.movedim(1, -1).cpu().numpy()
    lengths = [encoded(image if image.shape[-1] == 3 else image[..., 0], codec) for image in pixels]
    return 8 * torch.tensor(lengths, dtype=torch.float64) / math.prod(images.shape[1:])


def encoded(image: np.ndarray, codec: Codec) -> int:
    """Bytes of one image's file."""
    stream = BytesIO()
    Image.fromarray(image).save(stream, **OPTIONS[codec])
    return stream.tell()
