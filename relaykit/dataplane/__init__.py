"""Moving bytes: sockets, TLS, transforms and forwarders; knows no session and no proxy type."""

__all__: list[str] = []
