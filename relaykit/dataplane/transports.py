"""Legs on what somebody else's endpoint makes: any Twisted transport."""

from __future__ import annotations
from twisted.internet.defer import Deferred
from relaykit.dataplane.poller import Poller
from relaykit.interfaces import IStreamLeg


def connect_foreign(poller: Poller, endpoint: str, timeout_s: float) -> Deferred[IStreamLeg]:
    """x"""
    raise NotImplementedError
