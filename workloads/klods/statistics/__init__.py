"""Scores of groups: Gaussian divergence, GOD, typicality, input complexity."""
