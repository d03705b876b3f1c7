"""The ``relaykit`` command, and the command lines of ``frps`` and ``frpc``."""
