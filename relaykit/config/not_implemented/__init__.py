"""What frp has and relaykit has not yet: proxy types, and keys.  Files that use them are checked in full."""
