"""What runs on a worker: stages, trials, analyses, baselines."""
