"""One global quantile network for the load of every series."""
