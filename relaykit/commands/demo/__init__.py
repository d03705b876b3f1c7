"""``relaykit demo``: a first tunnel, and a first direct path, all of it on this machine."""
