"""The truth about a run: events, state, ledger, paths, locks, and MLflow's mirror of it."""
