"""The proxy types of frp that no installed package provides yet: their keys and rules.

Files that use them are checked in full, so that mistakes in them are found, and then refused as
"not available yet".  An entry is not looked at once a package provides the type.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from relaykit.options import Options

__all__ = ["NOT_IMPLEMENTED_TYPES", "NotImplementedType"]


class NoKeys(Options, frozen=True, kw_only=True):
    """The server's keys of a type that has none."""


@frozen(kw_only=True)
class NotImplementedType:
    """The own keys of a proxy type, of its visitors if it has any, and of the server for it."""

    proxy_options: type[Options]
    visitor_options: type[Options] | None = None
    ingress_options: type[Options] = NoKeys


NOT_IMPLEMENTED_TYPES: Mapping[str, NotImplementedType] = {}
"""By name: none, for frp's eight types are all here.  An entry goes when its type gets its module."""
