"""Options and a space, made into trials, stages, identity, cost and capacity. Pure: no torch, no Ray."""
