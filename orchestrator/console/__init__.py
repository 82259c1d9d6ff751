"""What a terminal shows: the plan, live tables, the result."""
