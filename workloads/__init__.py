"""The science: detectors, data and metrics in PyTorch alone, without Ray, MLflow or pydantic.

    import workloads

    detector = workloads.fit("mlsad", normal_images, config={"width": 0.25, "detector_epochs": 20.0})
    detector.score(images)      # (N,) float32 from uint8 (N, H, W[, C]); higher = more anomalous

Torch is imported when it is first needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workloads.detector import Detector
    from workloads.fitting import fit

__all__ = ["Detector", "fit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from workloads import fitting

    return getattr(fitting, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
