"""Tests of the client half of QUIC as a carrier."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from relaykit.carriers.quic import dialing
from relaykit.carriers.quic.dialing import QuicDialer
from relaykit.carriers.quic.opening import HANDSHAKE_S
from relaykit.dataplane.tls import client_context
from relaykit.errors import ConnectionFailed, QuicUnavailableError, TransportSecurityError
from relaykit.interfaces import IDialHost, IPathDialer
from tests.carriers.quic.lines import libraries, missing
from tests.carriers.quic.port_net import PAIR, Dialing, Net


class QuicDialerTests(SynchronousTestCase):
    """Connections to a server."""

    skip = missing()

    def test_interfaces(self) -> None:
        """It keeps what the interfaces say."""
        verifyClass(IPathDialer, QuicDialer)
        verifyObject(IDialHost, Dialing(Net(libraries()[0])))

    def test_nobody(self) -> None:
        """Where nobody answers it is given up in time, and in words."""
        net = Net(libraries()[0])
        opening = net.dial(libraries()[0])
        net.rest(HANDSHAKE_S + 1)
        error = self.failureResultOf(opening, ConnectionFailed)
        self.assertIn("does not speak QUIC there", str(error.value))
        self.assertEqual(net.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """It can be cancelled, and leaves nothing."""
        net = Net(libraries()[0])
        opening = net.dial(libraries()[0])
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        net.rest(1.0)
        self.assertEqual(net.reactor.getDelayedCalls(), [])

    def test_no_library(self) -> None:
        """Without a library it says how to get one."""

        def none() -> object:
            raise QuicUnavailableError("pip install 'relaykit[quic]'")

        self.patch(dialing, "load", none)
        net = Net(libraries()[0])
        opening = QuicDialer(net.options, Dialing(net)).open_path()
        self.assertIn("relaykit[quic]", str(self.failureResultOf(opening, ConnectionFailed).value))

    def test_pinned(self) -> None:
        """Another certificate than the pinned one is refused; the pinned one is not."""
        for library in libraries():
            for fingerprint, good in ((PAIR.fingerprint, True), ("sha256:" + 64 * "0", False)):
                net = Net(library, client=client_context(fingerprint=fingerprint))
                net.service.startService()
                opening = net.dial(library)
                net.until(lambda opening=opening: opening.called)
                if good:
                    self.successResultOf(opening).close()
                else:
                    self.failureResultOf(opening, TransportSecurityError)
                net.rest(5.0)
