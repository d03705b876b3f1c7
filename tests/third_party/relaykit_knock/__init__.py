"""A proxy type for relaykit, ``knock``, and a local service to try it with, ``shout:``."""
