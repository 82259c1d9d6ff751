"""Spaces of the KLODS tables."""
