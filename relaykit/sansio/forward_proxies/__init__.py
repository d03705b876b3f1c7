"""Getting out through somebody's forward proxy: which one, and what is said to it."""
