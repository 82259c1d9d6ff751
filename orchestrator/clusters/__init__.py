"""Cluster files for `ray up` and KubeRay: rendered from a few typed values, and validated without a network."""
