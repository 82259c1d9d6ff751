"""Cluster files: for `ray up` and for Kubernetes, rendered and checked offline."""
