"""A patch memory's score as one module, network and all, as torch.export and ONNX take it."""

from torch import Tensor, nn

from workloads.learner import State
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.features import Features
from workloads.patch_memory.maps import pixel_scores
from workloads.patch_memory.memory import distances, reweighted


class PatchProgram(nn.Module):
    """uint8 (N, C, H, W) -> float32 (N,), as `PatchMemory.score` gives, of all images at once. seen: the features of
    the fit."""

    def __init__(self, config: PatchMemoryConfig, fitted: State, seen: Features) -> None:
        super().__init__()
        self.config, self.seen = config, seen
        self.network = getattr(seen, "network", None)  # registered, so that its weights go along
        self.names = [name for name, value in fitted.items() if isinstance(value, Tensor)]
        for name in self.names:
            self.register_buffer(f"fitted_{name}", fitted[name])

    def forward(self, images: Tensor) -> Tensor:
        state = {name: getattr(self, f"fitted_{name}") for name in self.names}
        features = self.seen.of(images)
        if self.config.image_score == "reweighted":
            return reweighted(state, features)
        places = distances(self.config, state, features)
        return pixel_scores(places, images.shape[2], images.shape[3], self.config.smoothing).amax((1, 2))
