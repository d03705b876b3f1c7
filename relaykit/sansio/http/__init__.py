"""HTTP/1 as a reverse proxy speaks it: heads, bodies, what it changes, and one user's connection."""
