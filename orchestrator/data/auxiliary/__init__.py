"""Auxiliary image sets: any source into checked shards, and shards into an endless reproducible stream for training."""
