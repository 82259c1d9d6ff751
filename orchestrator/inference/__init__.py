"""Loads a detector from a run and uses it on anyone's images."""
