"""From ledger and score files to winner, tables, comparison and report."""
