"""What all learners share: batches, workers that share them, optimisers, checkpoints, seeds."""
