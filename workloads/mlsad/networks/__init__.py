"""Generators, discriminators and patch detectors."""
