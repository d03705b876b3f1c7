"""Configuration files of both roles into checked options: frp's keys, and relaykit's own.

:mod:`relaykit.config.schema` declares the keys, :mod:`relaykit.config.load` reads files.
"""

__all__: list[str] = []
