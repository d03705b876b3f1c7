"""Policies: who decides on a server what clients and users may do, besides what the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from relaykit.options import Options

__all__ = ["IJudge", "IPolicy", "IPolicyReference"]


class IPolicyReference(IPlugin):
    """The object in a dropin file: names a policy without importing it."""

    name = Attribute("The policy's name, as in ``[policies.NAME]``.")
    module = Attribute("Dotted name of the module that has ``policy``.")

    def load() -> IPolicy:
        """Imports the module and answers its ``policy``.

        :raises BrokenPolicy: with the reason.
        """


class IPolicy(Interface):
    """What a package adds to what servers can decide by."""

    name: str = Attribute("The policy's name, as in ``[policies.NAME]``.")
    options: type[Options] = Attribute("The class of that table.")

    def make_judge(options: Any, reactor: Any) -> IJudge:
        """The policy as a server has it that is configured so; opens nothing.

        ``reactor`` tells the time and calls later.
        """


class IJudge(Interface):
    """A policy at work."""

    decides: frozenset[type] = Attribute(
        "The classes of :mod:`relaykit.policy_requests` that it is asked about, or told of."
    )

    def judge(request: Any) -> Any:
        """Decides about one of these; at once, or later by a Deferred.

        None allows what is asked for.  A request of the same class allows what that says in its place, as
        far as its class may be changed.  The Deferred is cancelled where nobody waits for it any more, or it
        takes too long (``relaykit.server.policies.DECIDE_TIMEOUT_S``).

        :raises RefusedByPolicy: it may not be; the text is for whoever asks.  So may the Deferred fail.
            Whatever else it raises refuses, too, and is logged as a defect of the policy.
        """
