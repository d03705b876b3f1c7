"""A relay with a proxy of type ``sudp`` and visitors, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from relaykit.interfaces import IDatagramLeg
from relaykit.options import VisitorCommon, VisitorTransport
from relaykit.proxies.sudp import proxy_type
from relaykit.proxies.sudp.options import SudpOptions, SudpVisitorOptions
from relaykit.testing.memory import RecordingDatagrams
from relaykit.testing.relay import MemoryRelay, Published, Visiting, echoing_datagrams
from relaykit.values import Secret

KEY = Secret("s3cret")


class SudpTestCase(SynchronousTestCase):
    """A relay with alice's proxy ``dns``, whose service sends everything back."""

    def setUp(self) -> None:
        self.relay = MemoryRelay()

    def publish(self, *allow_users: str, size: int = 1500, direct: bool = False) -> Published:
        """Starts the proxy."""
        return self.relay.publish(
            proxy_type,
            SudpOptions(secret_key=KEY, allow_users=allow_users, udp_packet_size=size, direct=direct),
            name="dns",
            local_datagrams=echoing_datagrams,
            user="alice",
        )

    def visit(
        self,
        user: str = "alice",
        key: Secret = KEY,
        transport: VisitorTransport | None = None,
        direct: bool = False,
    ) -> Visiting:
        """Starts a visitor, at port 9000."""
        common = VisitorCommon(
            name="v",
            server_user="alice",
            server_name="dns",
            bind_port=9000,
            transport=transport or VisitorTransport(),
        )
        options = SudpVisitorOptions(secret_key=key, direct=direct)
        return self.relay.visit(proxy_type, common, options, user=user)

    def ask(self, *datagrams: bytes) -> RecordingDatagrams:
        """What a new user of the visitor's port gets who sends these."""
        return self.send(self.relay.ports.dial_datagrams(9000), *datagrams)

    def send(self, leg: IDatagramLeg, *datagrams: bytes) -> RecordingDatagrams:
        """What a user gets who sends these."""
        received = RecordingDatagrams(leg)
        for data in datagrams:
            leg.send(data)
        self.relay.settle()
        return received

    def visits(self, published: Published) -> Sequence[object]:
        """The visits that the server serves."""
        return list(published.proxy.flows)
