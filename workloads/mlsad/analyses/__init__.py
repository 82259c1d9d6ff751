"""Closer looks at a trained detector. Nothing here changes a network or a score."""
