"""Brings images to workers; prepares large auxiliary sets."""
