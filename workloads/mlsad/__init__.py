"""MLSAD: multi-level structure anomaly detection (Dai et al., arXiv 2104.12102, 2021)."""
