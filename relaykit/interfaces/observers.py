"""Who is told what happens on a server."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

__all__ = ["IServerObserver"]


class IServerObserver(Interface):
    """Is told what happens on a relay server: the log, statistics, hooks; see ``RelayServer.observe``."""

    follows_users = Attribute(
        "Whether it is told of each user, too: that costs an event when one comes and one when one goes."
    )

    def on_event(event: Any) -> None:
        """Something happened: one of :mod:`relaykit.server.events`.

        It is called at once, within what happened, and must not wait.  What it raises is logged, and hurts
        nobody.
        """
