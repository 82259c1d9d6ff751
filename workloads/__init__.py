"""The science: detectors, data and metrics in PyTorch alone, without Ray, MLflow or pydantic."""
