"""Who is told what happens on a server and at a client, and who is shown what passes a leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from relaykit.sansio.contract import Buffer
    from relaykit.values import Exchange

__all__ = ["IExchangeObserver", "ILegObserver", "IServerObserver"]


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


class IExchangeObserver(Interface):
    """Is told what the users of a client's proxies ask for, and how it is answered; see
    ``RelayClient.observe``.
    """

    def on_exchange(proxy: str, exchange: Exchange) -> None:
        """An exchange has ended, of the proxy that the configuration calls this.

        It is called at once, and must not wait.  What it raises is logged, and hurts nobody.
        """


class ILegObserver(Interface):
    """Is shown what passes a leg.  What it raises is logged, and ends its being shown anything."""

    def bytes_read(data: Buffer) -> None:
        """Bytes arrived on the leg; ``data`` is lent for the duration of the call."""

    def bytes_written(data: Buffer) -> None:
        """Bytes were written to it; likewise."""

    def leg_lost() -> None:
        """The leg is gone; called once, last."""
