"""The table of per-image scores, and every number that is made from it."""
