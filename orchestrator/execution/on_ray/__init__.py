"""Ray Train and Ray Tune, and nothing else, behind the executor."""
