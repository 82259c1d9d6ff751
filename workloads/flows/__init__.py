"""Normalising flows: image densities whose likelihood terms, latents and ratios score anomalies."""
