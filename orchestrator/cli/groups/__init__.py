"""Groups of verbs: `cluster`, `data`, `latents` and `spaces`, a group a file."""
