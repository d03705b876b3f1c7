"""QUIC between client and server, as frp has it: each stream of a connection is what mux has streams for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from relaykit.carriers.quic.adapter import available
from relaykit.interfaces import ICarrier
from relaykit.values import CarrierCapabilities

if TYPE_CHECKING:
    from twisted.application.service import IService

    from relaykit.interfaces import IAcceptHost, IDialHost, IPathDialer

__all__ = ["carrier"]


@implementer(ICarrier)
class QuicCarrier:
    """Both halves; who uses neither does without the libraries."""

    name = "quic"
    summary = "QUIC over UDP: its own streams and encryption, and no loss of one stream delays another."
    capabilities = CarrierCapabilities(streams=True, datagrams=True, encryption=True, own_port=True, race=20)
    table = "quic"
    dial_options = None
    accept_options = None

    def lacks(self) -> str:
        return (
            "" if available() else "needs a library that is not installed here: pip install 'relaykit[quic]'"
        )

    def make_dialer(self, options: Any, host: IDialHost) -> IPathDialer:
        from relaykit.carriers.quic.dialing import QuicDialer

        return QuicDialer(options, host)

    def make_acceptor(self, options: Any, port: int, host: IAcceptHost) -> IService:
        from relaykit.carriers.quic.accepting import QuicAcceptor

        return QuicAcceptor(options, port, host)


carrier = QuicCarrier()
