"""Glow and its variants: layers, couplings, whole flows."""
