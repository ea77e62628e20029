"""Traffic tokens: their state, their lifetimes, their races."""
