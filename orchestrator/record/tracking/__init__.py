"""MLflow, a mirror of the ledger: which store, what goes into it, and its pages."""
