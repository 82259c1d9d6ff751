"""Nearest neighbours or a Gaussian on patch features: nothing is trained."""
