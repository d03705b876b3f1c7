"""``relaykit top``: what is busy in a program that runs."""
