"""Sessions: their states, limits, lookup and deadlines."""
