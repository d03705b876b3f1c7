"""What frp has and relaykit has not yet.  Files that use it are checked in full."""
