"""Spaces of the flow paper."""
