"""A run's best detector out of the run: an MLflow model, a torch.export program, an ONNX graph, each with its card."""
