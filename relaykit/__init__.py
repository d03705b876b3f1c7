"""A Twisted plugin framework for proxies: relay and NAT traversal, compatible with frp."""

__all__ = ["__version__"]

__version__ = "0.1.0"
