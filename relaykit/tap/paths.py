"""Paths of a configuration that a daemon reads after it has changed its folder."""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from relaykit.config.schema import ClientConfig, ServerConfig

__all__ = ["with_absolute_paths"]

ConfigT = TypeVar("ConfigT", ServerConfig, ClientConfig)

_TLS_FILES = ("cert_file", "key_file", "trusted_ca_file")


def with_absolute_paths(config: ConfigT) -> ConfigT:
    """The same configuration, the files of TLS named from the root: they are read when the role starts."""
    tls = config.transport.tls
    named = {name: getattr(tls, name) for name in _TLS_FILES}
    absolute = {name: os.path.abspath(path) for name, path in named.items() if path}
    transport = msgspec.structs.replace(config.transport, tls=msgspec.structs.replace(tls, **absolute))
    return msgspec.structs.replace(config, transport=transport)
