"""Spaces that run without any download."""
