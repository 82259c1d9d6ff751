"""Spaces of the MLSAD paper."""
