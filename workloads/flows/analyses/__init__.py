"""A closer look at trained flows."""
