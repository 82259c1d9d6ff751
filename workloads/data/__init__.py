"""Datasets, their licences and one-class protocols, as uint8 images."""
